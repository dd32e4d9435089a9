import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopline.model.tokenisers import tokenise
from hopline.runtime.errors import UserError
from hopline.schema import TOKENISERS
from hopline.use import pieces

TEXTS = st.text(st.sampled_from("ab \t\n\r.'é世<unk>"), max_size=60)


@settings(deadline=None)
@given(TEXTS, st.integers(1, 9), st.integers(1, 7), st.sampled_from(TOKENISERS))
def test_cutting_changes_no_token(text, size, read, tokeniser):
    parts = [text[at : at + read] for at in range(0, len(text), read)]
    cut = list(pieces.cut(parts, "it", size=size, anywhere=tokeniser == "characters"))
    assert "".join(cut) == text
    if tokeniser != "characters" or "<" not in text:  # a reserved word without blanks may be cut among characters
        assert [token for part in cut for token in tokenise(part, tokeniser)] == tokenise(text, tokeniser)


def test_pieces_stay_small_where_there_are_blanks():
    cut = list(pieces.cut(["word " * 1000], "it", size=64))
    assert max(map(len, cut)) <= 64


def test_a_word_without_end_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(pieces, "LONGEST_WORD", 1000)

    def endless():
        for _ in range(100):
            yield "x" * 100
        raise AssertionError("all of it was read")

    with pytest.raises(UserError, match="a word of more than 1,000 characters"):
        list(pieces.cut(endless(), "it", size=64))
    assert len(list(pieces.cut(("x" * 100 for _ in range(100)), "it", size=64, anywhere=True))) > 100
    with pytest.raises(UserError, match="a line of more than 1,000 characters"):
        list(pieces.lines(endless(), "it"))


@settings(deadline=None)
@given(st.text(st.sampled_from("ab\n"), max_size=30), st.integers(1, 5))
def test_lines_keep_their_ends(text, read):
    parts = [text[at : at + read] for at in range(0, len(text), read)]
    assert list(pieces.lines(parts, "it")) == text.splitlines(keepends=True)


def test_text_that_is_not_utf8_is_named_with_the_place(monkeypatch):
    monkeypatch.setattr(pieces, "_READ", 4)
    assert "".join(pieces.read_text(io.BytesIO("\ufeffgrün 世界".encode()), "it")) == "grün 世界"
    for data, place in ((b"abcdefg\xff rest", 7), (b"abc" + b"\xe4", 3), (b"ab\xe4\xb8x", 2)):
        with pytest.raises(UserError, match=rf"it is not UTF-8: byte {place} is"):
            list(pieces.read_text(io.BytesIO(data), "it"))
