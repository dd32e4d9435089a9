"""Text of any length in pieces that fit in memory, never cut inside a word."""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from hopline.runtime.errors import UserError

PIECE = 1 << 18  # characters: what is scored in one call
LONGEST_WORD = 1 << 22  # characters without a blank; a longer run is not text of words
_READ = 1 << 18
_BLANK = re.compile(r"[ \t\n]")  # not at a CR, which may belong to the LF after it


def read_text(stream: BinaryIO, name: str) -> Iterator[str]:
    """The stream's text, as it comes; a byte order mark at its beginning is left out.

    Raises:
        UserError: it is not UTF-8; the message says where.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    done, first = 0, True
    while True:
        # Not `read`, which waits for the whole amount: what is typed, or comes through a pipe, is scored at once.
        data = stream.read1(_READ) if hasattr(stream, "read1") else stream.read(_READ)
        try:
            pending = len(decoder.getstate()[0])
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name} is not UTF-8: byte {done - pending + error.start:,} is 0x{error.object[error.start]:02x}",
                remedy="convert it to UTF-8 first (iconv does)",
            ) from error
        done += len(data)
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        if text:
            yield text
        if not data:
            return


def cut(texts: Iterable[str], name: str, *, anywhere: bool = False, size: int = PIECE) -> Iterator[str]:
    """The same text in pieces of about `size` characters: each ends after an end of line, or else after a blank.

    Args:
        texts: consecutive parts.
        name: what to call the text in a message.
        anywhere: cuts at any character if there is no blank; for models whose tokens are characters.
        size: of a piece, in characters.

    Raises:
        UserError: it holds a word of more than `LONGEST_WORD` characters.
    """
    buffer = ""
    for text in texts:
        buffer += text
        while len(buffer) >= size:
            end = _last_end(buffer, size) or (size - buffer[:size].endswith("\r") if anywhere else 0)
            if not end and len(buffer) > LONGEST_WORD:
                raise UserError(
                    f"{name} holds a word of more than {LONGEST_WORD:,} characters",
                    remedy="give text whose words are split by blanks",
                )
            if not end:
                break
            yield buffer[:end]
            buffer = buffer[end:]
    if buffer:
        yield buffer


def lines(texts: Iterable[str], name: str) -> Iterator[str]:
    """The text's lines, each with its end.

    Raises:
        UserError: one has more than `LONGEST_WORD` characters.
    """
    buffer: list[str] = []
    waiting = 0
    for text in texts:
        *whole, rest = text.split("\n")
        for line in whole:
            yield "".join([*buffer, line, "\n"])
            buffer, waiting = [], 0
        buffer.append(rest)
        waiting += len(rest)
        if waiting > LONGEST_WORD:
            raise UserError(
                f"{name} holds a line of more than {LONGEST_WORD:,} characters",
                remedy="split it into lines, or score the file as one document (--context document)",
            )
    if waiting:
        yield "".join(buffer)


def batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """The texts in batches of `size` characters together at most; one that is longer is a batch by itself."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and characters + len(text) > size:
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _last_end(buffer: str, size: int) -> int:
    """The place after the last end of line, or else blank, among the first `size` characters, or the next; or 0."""
    end = buffer.rfind("\n", 0, size) + 1 or max(buffer.rfind(" ", 0, size), buffer.rfind("\t", 0, size)) + 1
    if end:
        return end
    later = _BLANK.search(buffer, size)
    return later.end() if later else 0
