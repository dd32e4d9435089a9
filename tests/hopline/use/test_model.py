import math
import subprocess
import sys

import numpy as np
import pytest

import hopline
from hopline.model.tokenisers import tokenise
from hopline.runtime.errors import UserError
from hopline.use import pieces
from hopline.use.cache import CacheConfig
from hopline.use.drawing import Choice
from hopline.use.model import joined

TEXT = "w00 w07 w03 nobody\nw01"


@pytest.fixture(scope="module")
def model(used):
    return hopline.load(used[0])


def test_importing_hopline_brings_no_tensorflow():
    code = "import hopline, sys; assert hopline.load; assert not {'tensorflow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scores_hold_words_as_written_and_their_sums(model):
    empty, scored, unknown = model.score(["", TEXT, "nobody at all"])
    assert scored.words == ("w00", "w07", "w03", "nobody", "<eos>", "w01")
    assert (scored.totals.tokens, scored.totals.unknown, scored.totals.lines) == (6, 1, 1)
    known = scored.nll[scored.ids != 1]
    assert scored.perplexity == pytest.approx(math.exp(scored.nll.mean()), rel=1e-5)
    assert scored.totals.perplexity_without_unknown == pytest.approx(math.exp(known.mean()), rel=1e-5)
    assert scored.totals.bits_per_character == pytest.approx(scored.surprisal.sum() / len(TEXT), rel=1e-5)
    assert math.isnan(empty.perplexity)
    assert math.isnan(unknown.totals.perplexity_without_unknown)
    assert model.perplexity(TEXT) == pytest.approx(scored.perplexity)
    assert model.score([]) == []


def test_a_long_text_and_many_short_ones_are_scored_as_each_by_itself(model, monkeypatch):
    long = f"{TEXT}\n" * 30
    [whole] = model.score([long])
    monkeypatch.setattr(pieces, "PIECE", 50)
    for scored in (model.score([long])[0], joined(list(model.score_pieces(pieces.cut([long], "it", size=20))))):
        assert scored.words == whole.words
        assert scored.characters == whole.characters
        np.testing.assert_allclose(scored.nll, whole.nll, atol=1e-5, rtol=1e-5)


def test_a_cache_of_no_weight_changes_nothing_and_another_helps_a_text_that_repeats_itself(model):
    text = "w01 w02 w03 w04 " * 20
    assert model.perplexity(text, CacheConfig(weight=0.0)) == pytest.approx(model.perplexity(text), rel=1e-5)
    assert model.perplexity(text, CacheConfig(weight=0.3)) < model.perplexity(text)
    alone, again = model.score([text, text], CacheConfig(weight=0.3))
    assert again.perplexity == pytest.approx(alone.perplexity)  # the first text is not in the second one's cache


def test_the_same_seed_gives_the_same_words_however_they_are_drawn(model):
    first, second = model.generate("w01 w02", tokens=12, n=2, seed=5)
    assert first != second
    assert model.generate("w01 w02", tokens=12, seed=5) == [first]
    assert model.generate("w01 w02", tokens=12, seed=6) != [first]
    parts = model.stream("w01 w02", tokens=12, choice=Choice(seed=5), at_once=5)
    words = [word for [part] in parts for word in part.words]
    assert words == tokenise(first, "whitespace")


def test_a_cache_changes_what_is_drawn_the_same_however_it_is_drawn(model):
    text, cache = "w01 w02 w03 w04 " * 6, CacheConfig(window=8, weight=0.9, flatness=5.0)
    first, second = model.generate(text, tokens=12, n=2, seed=5, cache=cache)
    assert model.generate(text, tokens=12, seed=5, cache=cache) == [first]
    assert model.generate(text, tokens=12, n=2, seed=5, cache=CacheConfig(weight=0.0)) != [first, second]
    for at_once in (1, 5):
        parts = model.stream(text, tokens=12, choice=Choice(seed=5), at_once=at_once, cache=cache)
        assert [word for [part] in parts for word in part.words] == tokenise(first, "whitespace")


def test_words_drawn_with_a_cache_have_the_probability_that_scoring_with_it_gives_them(model):
    text = "w01 w02 w03 w04 " * 6
    for cache in (None, CacheConfig(5, 0.4, 3.0), CacheConfig(500, 0.4, 3.0)):
        [[drawn]] = model.stream(text, tokens=9, choice=Choice(seed=2), at_once=9, cache=cache)
        [scored] = model.score([text + " ".join(drawn.words)], cache)
        np.testing.assert_allclose(drawn.log_probs, -scored.nll[-9:], atol=1e-5)


def test_an_empty_text_has_an_empty_cache(model):
    plain = model.generate("", tokens=1, seed=3)
    assert model.generate("", tokens=1, seed=3, cache=CacheConfig(weight=0.9)) == plain


def test_unknown_and_padding_are_never_drawn_unless_asked(model):
    assert not {"<unk>", "<pad>"} & set(" ".join(model.generate("", tokens=400, n=4)).split())
    parts = list(model.stream("", tokens=400, n=4, choice=Choice(unknown=True), at_once=400))
    words = {word for part in parts for one in part for word in one.words}
    assert "<unk>" in words
    assert "<pad>" not in words


def test_likeliest_nearest_and_vocabulary(model):
    words = model.next_words("w01", 4)
    assert [share for _, share in words] == sorted((share for _, share in words), reverse=True)
    assert model.generate("w01", tokens=1, temperature=0)[0].strip() == next(
        word for word, _ in words if word not in {"<unk>", "<eos>"}
    )
    assert len(model.nearest("w05", 3)) == 3
    with pytest.raises(UserError, match="nobody"):
        model.nearest("nobody")
    assert "w05" in model
    assert "nobody" not in model
    assert model.vocabulary[:3] == ("<pad>", "<unk>", "<eos>")


def test_attention_is_of_the_words_before_within_the_memory(model):
    reads = model.attention(" ".join(f"w{i:02}" for i in range(12))).reads
    assert reads.shape == (12, 2, 12)
    np.testing.assert_allclose(reads[1:].sum(2), 1.0, atol=1e-5)
    for place in range(12):
        assert not reads[place, :, place:].any()
        assert not reads[place, :, : max(0, place - model.reach)].any()


def test_what_cannot_be_drawn_is_refused(model):
    for wrong in (
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_p": 0},
        {"top_k": -1},
        {"tokens": -1},
        {"n": 0},
    ):
        with pytest.raises(UserError):
            model.generate("w01", **wrong)


def test_an_export_of_an_older_hopline_says_so(model):
    with pytest.raises(UserError, match="no signature"):
        model.exported.call("dream", text=["w01"])
