import numpy as np

from components.evaluate.passages import LONGEST, SHOWN, most_different
from hopline.schema import EOS


def found(difference, ids, lengths, sources=("a", "b")):
    words = [f"w{number}" for number in range(len(ids))]
    return most_different(np.asarray(difference, float), np.asarray(ids), words, np.asarray(lengths), sources)


def test_lines_with_the_largest_sums_are_shown_each_on_its_side():
    ids = [5, EOS, 5, EOS, 5, 5]
    better, worse = found([-1, -1, 3, 0, -0.5, 0], ids, [4, 2])
    assert [(item.source, item.words, item.differences) for item in better] == [
        ("a", ("w0", "w1"), (-1, -1)),
        ("b", ("w4", "w5"), (-0.5, 0)),
    ]
    assert [item.words for item in worse] == [("w2", "w3")]


def test_a_long_line_is_cut():
    better, _ = found([-1] * (LONGEST + 3), [5] * (LONGEST + 3), [LONGEST + 3])
    assert [len(item.words) for item in better] == [LONGEST, 3]


def test_no_more_than_some_are_shown_and_an_empty_document_does_no_harm():
    better, worse = found([-1, 0] * 20, [5, EOS] * 20, [0, 40, 0], ("a", "b", "c"))
    assert (len(better), worse) == (SHOWN, [])
    assert {item.source for item in better} == {"b"}
