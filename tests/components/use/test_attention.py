import numpy as np
import pytest

from components.use.attention import rows, shade
from hopline.use.model import Attention
from tests.components.use.fakes import scored


def test_shades_go_from_nothing_to_all():
    assert [shade(share) for share in (0.0, 0.02, 0.1, 0.3, 0.5, 1.0)] == list("·░▒▓██")


def test_each_word_has_a_row_for_each_hop_of_the_words_before_it():
    reads = np.zeros((3, 2, 3), np.float32)
    reads[2] = [[0.9, 0.1, 0], [0.0, 1.0, 0]]
    reads[1] = [[1, 0, 0], [1, 0, 0]]
    lines = rows(Attention(scored("a b x"), reads), 80)
    assert lines[1:] == [
        "a  (2.0 bits)", "  hop 1", "  hop 2",
        "b  (3.0 bits)", "  hop 1  a█", "  hop 2  a█",
        "x  (4.0 bits)", "  hop 1  a█ b▒", "  hop 2  a· b█",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [30, 50])
def test_a_narrow_terminal_shows_the_last_words(width):
    count = 40
    reads = np.zeros((count, 1, count), np.float32)
    lines = rows(Attention(scored("a " * count), reads), width)
    assert max(map(len, lines[1:])) <= width
    assert "…" in lines[-1]
