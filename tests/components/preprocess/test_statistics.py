"""What a split holds."""

import itertools
from collections import Counter

import numpy as np

from components.preprocess.statistics import Tally


def tally(counts, unknown=(), lengths=None, cut=None, characters=0):
    return Tally(
        np.array(counts), characters, np.array(sorted(unknown), np.uint64), Counter(lengths or {}), Counter(cut or {})
    )


def test_quantiles_are_lengths_that_occur():
    lengths = {1: 10, 5: 80, 100: 9, 1000: 1}
    expected = {"min": 1, "p10": 1, "p50": 5, "p90": 5, "p99": 100, "max": 1000}
    assert tally([0, 0, 1], lengths=lengths).summary()["document_tokens"] == expected


def test_a_document_cut_between_parts_is_counted_once():
    whole = tally([0, 0, 7], lengths={3: 2}, cut={"a": 4})
    whole.add(tally([0, 0, 5], cut={"a": 5}))
    assert whole.document_lengths == {3: 2, 9: 1}
    assert whole.summary()["documents"] == 3


def test_unknown_words_are_counted_as_tokens_and_as_types():
    whole = tally([0, 3, 1, 4], unknown=[1, 2])
    whole.add(tally([0, 2, 0, 0], unknown=[2, 3]))
    summary = whole.summary()
    assert (summary["tokens"], summary["unknown_tokens"], summary["unknown_types"]) == (10, 5, 3)
    assert summary["types"] == 1 + 3
    assert (summary["words"], summary["type_ratio"]) == (9, 4 / 9)


def test_line_ends_are_no_words_and_do_not_hide_unknown_ones():
    assert tally([0, 5, 5, 0], unknown=[1]).unknown_rate == 1.0
    assert tally([0, 0, 5, 0]).unknown_rate == 0.0


def test_unknown_words_of_the_parts_are_merged_in_any_order():
    parts = [[5, 2**64 - 1], [], [0, 5], [7, 2**64 - 2], [0, 1]]
    for order in itertools.permutations(parts):
        whole = tally([0, 0])
        for part in order:
            whole.add(tally([0, 0], unknown=part))
        whole.settle()
        assert whole.unknown.tolist() == [0, 1, 5, 7, 2**64 - 2, 2**64 - 1]


def test_what_is_saved_is_what_is_loaded(tmp_path):
    saved = tally([0, 3, 1], unknown=[7, 2**63], lengths={3: 2}, cut={"naïve/ä": 4}, characters=12)
    saved.save(tmp_path / "a.npz")
    loaded = Tally.load(tmp_path / "a.npz")
    assert loaded.summary() == saved.summary()
    assert loaded.cut_documents == saved.cut_documents
    assert loaded.unknown.tolist() == saved.unknown.tolist()
