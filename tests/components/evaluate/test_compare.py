import math

import numpy as np
import pytest

from components.evaluate import compare
from components.evaluate.bootstrap import paired_difference
from components.evaluate.compare import CHARACTERS, TOKENS, Reader
from components.evaluate.scores import Scores
from components.evaluate.text import Document
from hopline import artifacts
from hopline.runtime.errors import UserError
from hopline.schema import EOS, UNKNOWN


def reader(*words, tokeniser="whitespace", lowercase=False):
    return Reader(tokeniser, lowercase, frozenset({"<eos>", *words}))


def scores(words, nll=None, known=None, lengths=None):
    """Scores of `words`, of which those not in `known` are unknown."""
    distinct = tuple(dict.fromkeys(words))
    ids = [EOS if word == "<eos>" else UNKNOWN if known is not None and word not in known else 9 for word in words]
    return Scores(
        nll=np.zeros(len(words), np.float32) if nll is None else np.asarray(nll, np.float32),
        ids=np.array(ids, np.int64),
        word_index=np.array([distinct.index(word) for word in words], np.int32),
        words=distinct,
        lengths=np.array([len(words)] if lengths is None else lengths),
    )


def test_known_words_keep_their_score_and_unknown_ones_pay_for_the_choice():
    own = reader("a")
    costs, unknown = compare.unknown_costs(TOKENS, ("a", "b"), own, reader("c", "d"), [])
    assert unknown == 3
    made = compare.comparable_nll(scores(["a", "b"], [1.0, 2.0], known={"a"}), costs)
    assert made == pytest.approx([1.0, 2.0 + math.log(3)])


def test_unknown_types_are_counted_over_both_vocabularies_and_the_text():
    first, second, text = {"<eos>", "a", "b"}, {"<eos>", "b", "c", "d"}, ("a", "d", "x", "<unk>")
    universe = first | second | set(text)
    one, other = Reader("words", False, frozenset(first)), Reader("words", False, frozenset(second))
    assert compare.unknown_costs(TOKENS, text, one, other, [])[1] == len(universe - first)
    assert compare.unknown_costs(TOKENS, text, other, one, [])[1] == len(universe - second)


def test_the_comparable_probabilities_of_all_words_sum_to_one():
    probabilities = {"<eos>": 0.1, "a": 0.2, "b": 0.3}  # and 0.4 for <unk>
    words = ["<eos>", "a", "b", "c", "d", "e"]
    costs, _ = compare.unknown_costs(TOKENS, words, reader("a", "b"), reader("c", "e"), [])
    nll = [-math.log(probabilities.get(word, 0.4)) for word in words]
    made = compare.comparable_nll(scores(words, nll, known=probabilities), costs)
    assert np.exp(-made).sum() == pytest.approx(1.0)


def test_a_spelled_word_costs_each_of_its_characters_and_an_end():
    document = Document("d", "ab ba\n")
    costs, unknown = compare.unknown_costs(CHARACTERS, ("ab", "ba"), reader("ab"), reader(), [document])
    alphabet = len(set("ab \n<eos>"))
    assert unknown == 1
    assert costs == pytest.approx([3 * math.log(alphabet + 1)] * 2)


def test_equal_vocabularies_leave_the_ratio_of_perplexities_as_it_is():
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in random.integers(30, size=500)]
    known = {f"w{number}" for number in range(20)}
    nlls = random.random((2, 500))
    costs, _ = compare.unknown_costs(TOKENS, tuple(dict.fromkeys(words)), reader(*known), reader(*known), [])
    one, other = (compare.comparable_nll(scores(words, nll, known), costs).mean() for nll in nlls)
    assert one - other == pytest.approx(nlls[0].mean() - nlls[1].mean(), abs=1e-6)


def test_a_model_that_calls_everything_unknown_does_not_win():
    random = np.random.default_rng(0)
    types, tokens = 1_000, 20_000
    unigram = 1.0 / np.arange(1, types + 1)
    unigram /= unigram.sum()
    drawn = random.choice(types, size=tokens, p=unigram)
    words = [f"w{number}" for number in drawn]
    distinct = tuple(dict.fromkeys(words))
    everything = reader(*(f"w{number}" for number in range(types)))
    costs, unknown = compare.unknown_costs(TOKENS, distinct, reader(), everything, [])
    assert unknown == types
    knows_none = compare.comparable_nll(scores(words, known=()), costs)
    pairs = compare.token_pairs(knows_none, -np.log(unigram[drawn]), np.zeros(tokens))
    assert paired_difference(pairs, margin=0.0, confidence=0.95, block=1024).low > 0


@pytest.mark.parametrize(
    ("champion", "rule"),
    [
        (None, TOKENS),
        (reader("b"), TOKENS),
        (reader("b", tokeniser="characters"), CHARACTERS),
        (reader("b", tokeniser="words"), CHARACTERS),
    ],
)
def test_models_of_one_tokeniser_compare_by_tokens_and_others_by_characters(champion, rule):
    assert compare.choose_rule(reader("a"), champion) == rule
    assert rule in compare.RULES


def test_models_that_differ_in_case_do_not_compare():
    with pytest.raises(UserError, match="only the champion lowercases"):
        compare.choose_rule(reader(), reader(lowercase=True, tokeniser="characters"))


def test_a_reader_is_read_from_the_model_s_own_vocabulary(tmp_path):
    (tmp_path / "vocabulary.txt").write_text("<pad>\n<unk>\n<eos>\nthe\ncat\n", encoding="utf-8")
    old = artifacts.seal(tmp_path, "model", parents={}, config={}, facts={"lowercase": True})
    assert Reader.of(tmp_path, old) == reader("the", "cat", lowercase=True)
    new = artifacts.seal(tmp_path, "model", parents={}, config={}, facts={"tokeniser": "characters"})
    assert Reader.of(tmp_path, new).tokeniser == "characters"
    (tmp_path / "vocabulary.txt").unlink()
    with pytest.raises(UserError, match=r"no vocabulary\.txt"):
        Reader.of(tmp_path, new)


def test_models_that_read_the_same_words_compare():
    compare.require_same_words(scores(["a", "b"]), scores(["a", "b"]))


@pytest.mark.parametrize(
    ("challenger", "champion", "message"),
    [
        (("The", "b"), ("the", "b"), "token 0 is 'The' to the challenger and 'the' to the champion"),
        (("a", "b"), ("a",), "2 and 1 tokens"),
    ],
)
def test_models_that_read_other_words_do_not(challenger, champion, message):
    with pytest.raises(UserError, match=message):
        compare.require_same_words(scores(challenger), scores(champion))


def characters(text):
    return ["<eos>" if character == "\n" else character for character in text]


def words(text):
    return text.replace("\n", " <eos> ").split()


def paired_lines(*texts):
    """Pairs of a model that loses 1 a character with one that loses 2 a word."""
    documents = [Document(f"d{number}", text) for number, text in enumerate(texts)]
    by_character = [characters(text) for text in texts]
    by_word = [words(text) for text in texts]
    ours = scores([token for part in by_character for token in part], lengths=[len(part) for part in by_character])
    theirs = scores([token for part in by_word for token in part], lengths=[len(part) for part in by_word])
    return compare.line_pairs((ours, np.ones(len(ours.ids))), (theirs, np.full(len(theirs.ids), 2.0)), documents)


def test_other_tokenisers_pair_line_by_line_over_the_same_characters():
    pairs = paired_lines("ab cd\ne\n", "", "fgh\nlast")
    assert pairs.size.tolist() == [6, 2, 4, 4]
    assert pairs.difference.tolist() == [6 - 3 * 2, 2 - 2 * 2, 4 - 2 * 2, 4 - 1 * 2]
    assert pairs.document.tolist() == [0, 0, 2, 2]
    assert pairs.tokens.tolist() == [6, 2, 4, 4]


@pytest.mark.parametrize("text", ["a <eos> b\nc\n", "ab\n "])
def test_a_document_whose_lines_do_not_match_is_one_piece(text):
    pairs = paired_lines(text, "x\n")
    assert pairs.size.tolist() == [len(text), 2]
    assert pairs.difference[0] == len(text) - 2 * len(words(text))
