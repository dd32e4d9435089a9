"""What held-out text shares with training text, against a count of the n-grams themselves."""

import random

import numpy as np
import pytest

from components.preprocess import overlap
from components.preprocess.overlap import Passages, compare, gram_hashes, thinning

LENGTHS = (2, 4)


def hashed(tokens):
    return np.random.Generator(np.random.Philox(7)).integers(0, 2**63, 1000).astype(np.uint64)[np.array(tokens, int)]


def store(path, documents, thin=0, piece=7):
    """A range's file; documents are (name, file, tokens), written in pieces."""
    passages = Passages(LENGTHS, thin)
    for name, file, tokens in documents:
        for at in range(0, max(len(tokens), 1), piece):
            passages.add(name, file, hashed(tokens[at : at + piece]), hashed([]), cut=False)
    np.savez(path, **passages.arrays())
    return path


def grams(documents, length):
    found = [tuple(tokens[at : at + length]) for _, _, tokens in documents for at in range(len(tokens) - length + 1)]
    return [gram for gram in found if len(set(gram)) > 1]


def draw(seed, files, words=9):
    rng = random.Random(seed)
    return [(f"{file}@{n}", file, rng.choices(range(words), k=rng.randrange(40))) for file in files for n in range(4)]


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_those_of_the_n_grams_themselves(tmp_path, seed):
    held, training = draw(seed, "ab"), draw(seed + 100, "cde", words=7)
    parts = [store(tmp_path / f"{n}.npz", training[at : at + 5]) for n, at in enumerate(range(0, len(training), 5))]
    found = compare([store(tmp_path / "held.npz", held)], parts, LENGTHS)
    for length in LENGTHS:
        ours, theirs = grams(held, length), set(grams(training, length))
        assert found.grams[length] == len(ours)
        assert found.shares[length] == pytest.approx(sum(gram in theirs for gram in ours) / len(ours))


def test_thinned_shares_are_near_the_whole_ones(tmp_path):
    held, training = draw(1, "abcdefgh" * 20, words=12), draw(2, "ijklmnop" * 20, words=12)
    whole, thinned = (
        compare([store(tmp_path / "h.npz", held, thin)], [store(tmp_path / "t.npz", training, thin)], LENGTHS)
        for thin in (0, 2)
    )
    assert thinned.grams[4] == pytest.approx(whole.grams[4] / 4, rel=0.2)
    assert thinned.leak == pytest.approx(whole.leak, abs=0.05)
    assert 0.2 < whole.leak < 0.8


def test_a_copied_document_is_named_with_the_file_that_has_it(tmp_path):
    secret = [*range(20, 60)]
    held = [("v@0", "v", secret), ("w@0", "w", [*range(100, 130)])]
    training = [("x@0", "x", [*range(200, 240)]), ("y@0", "y", secret)]
    found = compare([store(tmp_path / "h.npz", held)], [store(tmp_path / "t.npz", training, piece=13)], LENGTHS)
    assert found.documents == 1
    assert found.files == [{"file": "v", "in": "y", "share": 1.0, "documents": 1}]


def test_splits_without_passages_share_none(tmp_path):
    held, training = [("a", "a", [1])], [("b", "b", [])]
    found = compare([store(tmp_path / "h.npz", held)], [store(tmp_path / "t.npz", training)], LENGTHS)
    assert (found.documents, found.leak, found.files) == (0, 0.0, [])
    assert compare([store(tmp_path / "h.npz", held)], [], LENGTHS).leak == 0.0


def test_order_matters_and_a_ruled_line_is_no_passage():
    one, other = gram_hashes(hashed([1, 2, 3]), 3), gram_hashes(hashed([3, 2, 1]), 3)
    assert len(one) == len(other) == 1
    assert one != other
    assert len(gram_hashes(hashed([5] * 9 + [6]), 3)) == 1


def test_of_a_small_corpus_every_n_gram_is_taken_and_of_a_large_one_a_bounded_number(monkeypatch):
    assert thinning(1 << 20) == 0
    for size in (1 << 30, 100 << 30):
        assert size // 4 >> thinning(size) <= overlap._TAKEN < size // 4
