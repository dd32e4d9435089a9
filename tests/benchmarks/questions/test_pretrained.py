"""Question 5: what is said of word vectors, skip-gram and the maps stays true; without gensim."""

import dataclasses
import sys

import numpy as np
import pytest

from benchmarks.questions.learning_curve import MODEL, RECIPE, Learner, make_texts
from benchmarks.questions.pretrained import (
    OWN,
    RANDOM,
    WHOLE,
    Findings,
    Setting,
    curve_table,
    groups,
    neighbour_table,
    rows,
    skip_gram_table,
)
from benchmarks.questions.skip_gram import (
    SkipGram,
    Vectors,
    agreement,
    by_gensim,
    in_our_graph,
    nearest,
    objective,
    pairs,
    with_noise,
)
from benchmarks.questions.word_maps import apart, by_chance, same_kind, two_dimensions
from hopline.runtime.errors import UserError

KINDS, WORDS_A_KIND = 4, 6
TO_LETTERS = str.maketrans("0123456789", "abcdefghij")  # only words of letters are shown
SMALL = dataclasses.replace(MODEL, width=8, heads=2, memory=6, hops=1)


@pytest.fixture(scope="module")
def texts():
    """Words of one kind each come in runs of 16, so that a word's kind is known by its company."""
    random = np.random.Generator(np.random.Philox(3))
    documents = {}
    for number in range(40):
        kinds = np.repeat(random.integers(KINDS, size=32), 16)
        documents[f"d{number:02}"] = [f"w{kind}x{random.integers(WORDS_A_KIND)}" for kind in kinds]
    return make_texts(documents, 30, 10_000, 1_024)


def kinds_of(texts):
    ids = np.arange(3, len(texts.known))
    return ids, [int(texts.known[number][1]) for number in ids]


def test_held_out_documents_are_no_training_text_and_a_small_text_is_part_of_a_larger_one(texts):
    assert len(texts.valid) == len(texts.test) == 4
    assert len(texts.passages) == 10_000 // 256
    small, large = texts.share(0.1), texts.share(0.5)
    assert [passage.tolist() for passage in large[: len(small)]] == [passage.tolist() for passage in small]
    held_out = {tuple(passage) for passage in [*texts.valid, *texts.test]}
    assert not held_out & {tuple(passage) for passage in texts.passages}


def test_pairs_are_all_neighbours_within_the_window_in_either_order():
    found = sorted(map(tuple, pairs([np.array([1, 2, 3], np.int32), np.array([7], np.int32)], 2).tolist()))
    assert found == [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)]


def test_random_words_are_words_of_the_text_by_their_frequency_to_three_quarters():
    counts = np.array([0, 16, 1, 0])
    drawn = with_noise(np.full(4000, 3, np.int32), counts, 5, np.random.Generator(np.random.Philox(1)))
    assert set(drawn[:, 0].tolist()) == {3}
    assert set(drawn[:, 1:].ravel().tolist()) == {1, 2}
    assert (drawn[:, 1:] == 1).mean() == pytest.approx(8 / 9, abs=0.01)


def test_skip_gram_in_our_graph_puts_words_of_the_same_company_together_and_predicts_other_text(texts):
    setting = SkipGram(width=8, window=3, epochs=4, batch=64, learning_rate=0.02)
    trained = in_our_graph(texts.passages, len(texts.known), setting, seed=1)
    ids, kinds = kinds_of(texts)
    assert same_kind(trained.words[ids], kinds) > 0.9 > 3 * by_chance(kinds)
    counts = np.bincount(np.concatenate(texts.passages), minlength=len(texts.known))
    nothing = Vectors(np.zeros_like(trained.words), np.zeros_like(trained.contexts))
    untrained = objective(nothing, texts.test, counts, setting)
    assert untrained == pytest.approx(6 * np.log(2))
    assert objective(trained, texts.test, counts, setting) < untrained - 0.5


def test_neighbours_agree_wholly_with_themselves_and_not_with_those_of_other_vectors():
    random = np.random.Generator(np.random.Philox(1))
    one, other = random.normal(size=(2, 40, 6)).astype(np.float32)
    among = np.arange(5, 40)
    assert agreement(one, 3 * one, among) == 1
    assert agreement(one, other, among) < 0.6
    assert (nearest(one, among, 3) >= 5).all()
    assert not (nearest(one, among, 3) == among[:, None]).any()


def test_without_gensim_the_question_says_how_to_get_it(monkeypatch, texts):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(UserError, match="gensim") as caught:
        by_gensim(texts.passages, len(texts.known), SkipGram(), seed=1)
    assert "[questions]" in caught.value.remedy


def test_each_share_starts_at_random_and_from_vectors_and_only_they_are_held():
    found = list(rows(Setting()))
    assert [(row.start, row.frozen) for row in found if row.part.share == 1] == [
        (RANDOM, False),
        (WHOLE, False),
        (WHOLE, True),
    ]
    assert sum(row.part.share < 1 for row in found) == 2 * 5
    assert {row.start for row in found if row.frozen} == {OWN, WHOLE}


def test_the_words_of_the_test_are_in_one_group_each_by_how_often_the_part_has_them(texts):
    everything, *others = groups(texts, 0.05)
    assert everything.all()
    assert (np.sum(others, axis=0) == 1).all()
    assert groups(texts, 1.0)[1].mean() == 0


def test_the_table_has_the_mean_of_the_seeds_and_half_their_range():
    row = next(rows(Setting()))
    losses = [[np.log(90.0), np.nan, 1.0, 1.0], [np.log(110.0), np.nan, 1.0, 1.0]]
    lines = list(curve_table(Findings({row: losses}, {0.01: [1.0, 0.0, 0.25, 0.75]})))
    assert lines[2] == "| 1% | random | no | 99.5 ± 10.0 |  | 3 | 3 |"
    assert "1 to 9 times: 25.0%" in lines[3]


def test_the_tables_of_vectors_have_a_row_for_each_and_only_others_are_compared_with_gensims_first(texts):
    letters = dataclasses.replace(texts, known=[word.translate(TO_LETTERS) for word in texts.known])
    random = np.random.Generator(np.random.Philox(1))
    tables = random.normal(size=(6, len(texts.known), MODEL.rows)).astype(np.float32)
    first, second, ours = (Vectors(words, contexts) for words, contexts in tables.reshape(3, 2, *tables.shape[1:]))
    found = Findings(whole=[first, second], ours=ours, network=first.words)
    _, _, *lines = "\n".join(skip_gram_table(letters, found, Setting())).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in cells] == ["no training", "gensim", "our graph", "gensim, seed 2"]
    assert [row[2].endswith("%") for row in cells] == [False, False, True, True]
    assert cells[0][1] == f"{6 * np.log(2):.3f}"
    header, *_ = neighbour_table(letters, found)
    assert header.startswith("| | word2vec (gensim) | our graph | the network's table |")


@pytest.mark.slow
def test_vectors_of_much_text_help_a_network_that_sees_little_and_are_still_as_they_are_while_held(texts, tmp_path):
    setting = SkipGram(width=8, window=3, epochs=4, batch=64, learning_rate=0.02)
    whole = in_our_graph(texts.passages, len(texts.known), setting, seed=1)
    file = whole.write(tmp_path / "vectors.vec", texts.known, iter(range(3, len(texts.known))))
    learner = Learner(texts, SMALL, dataclasses.replace(RECIPE, sequences=4, targets=32))
    little = texts.share(0.02)
    random = learner.train(little, None, epochs=6)
    helped = learner.train(little, file, epochs=6)
    held = learner.train(little, file, epochs=6, freeze_epochs=6)
    assert len(random.nll) == sum(map(len, texts.test))
    assert helped.nll.mean() < random.nll.mean() - 0.05
    factor = held.table[3:] / whole.words[3:]
    np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-3)
    assert np.ptp(helped.table[3:] / whole.words[3:]) > 0.01
    again = learner.train(little, None, epochs=6)
    np.testing.assert_allclose(again.nll, random.nll, rtol=1e-4, atol=1e-4)


def test_labels_that_overlap_are_moved_apart_and_others_stay():
    centres, sizes = np.array([[0.0, 0.0], [1.0, 0.5], [50.0, 50.0]]), np.array([[10.0, 4.0]] * 3)
    moved = apart(centres, sizes)
    away = np.abs(moved[0] - moved[1])
    assert away[0] >= 9.9 or away[1] >= 3.9
    np.testing.assert_allclose(moved[2], centres[2], atol=0.01)


def test_a_map_shows_the_plane_in_which_the_vectors_lie():
    random = np.random.Generator(np.random.Philox(1))
    angles = random.uniform(0, 2 * np.pi, 30)
    axes = np.linalg.qr(random.normal(size=(9, 9)))[0][:2]
    places = two_dimensions((np.stack([np.cos(angles), np.sin(angles)], axis=1) @ axes).astype(np.float32))
    assert places.shape == (30, 2)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    expected = 2 * np.abs(np.sin((angles[:, None] - angles[None]) / 2))
    np.testing.assert_allclose(distances, expected, atol=1e-5)
