"""Reads the text of a range, piece by piece, as valid UTF-8 with its document, split and place."""

import functools
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from components.preprocess.plan import Range, Segment
from hopline.config.corpus import CorpusConfig
from hopline.config.section import require
from hopline.corpus.files import split_by_hash
from hopline.runtime.errors import UserError
from hopline.store.sources import DAMAGED, open_source, unreadable

SOURCES = "sources.json"  # in a range's folder: the stamps of the files that it was made of, and what was left out
PIECE_BYTES = 24 << 10  # of text in a passage, some 4,096 words
RUN_BYTES = 1 << 20  # the most without a line end or a blank, and so the longest word: a run is held in one piece
_BATCH_BYTES = 1 << 20
_POINTERS = (b"version https://git-lfs.github.com/spec/", b"/annex/objects/")  # how those of Git LFS and annex begin
_BOM = b"\xef\xbb\xbf"
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # what JSON can spell and text cannot hold


@dataclass(frozen=True)
class Piece:
    """Consecutive text of one document; pieces end where tokens do.

    Attributes:
        segment: what it was read from.
        split: the document's split.
        document: the document's name (`hopline.schema.Passage`).
        offset: the byte at which the text begins, in the file or, for a JSON line, in the document.
        text: valid UTF-8.
    """

    segment: Segment
    split: str
    document: str
    offset: int
    text: bytes

    @property
    def cut(self) -> bool:
        """Whether the document may have more text in other segments."""
        return self.document == self.segment.file and not self.segment.whole


@dataclass
class Skipped:
    """JSON lines that are no document: how many were left out, and what was wrong with the first."""

    lines: int = 0
    first: str = ""

    def add(self, error: UserError, most: int) -> None:
        """Counts a line.

        Raises:
            UserError: it is one too many.
        """
        if self.lines >= most:
            raise error
        self.lines += 1
        self.first = self.first or error.message


def pieces(work: Range, config: CorpusConfig, skipped: Skipped | None = None) -> Iterator[Piece]:
    """The text of all documents of the range, in order.  Reads as it goes and holds one document at most.

    Args:
        work: the range.
        config: how files are read.
        skipped: where the lines that are left out are counted.

    Raises:
        UserError: a file cannot be read or holds what is no text; the message names file and byte.
    """
    json_lines = functools.partial(_json_lines, skipped=skipped or Skipped())
    readers: dict[str, Callable[..., Iterator[Piece]]]
    readers = {"file": _file, "blank-line": _paragraphs, "json-line": json_lines}
    read = readers[config.documents]
    for segment in work.segments:
        try:
            _require_content(segment)
            with open_source(segment.path) as stream:
                if segment.start:
                    stream.seek(segment.start)
                first = segment.start
                if first == 0 and stream.peek(len(_BOM)).startswith(_BOM):
                    first = len(stream.read(len(_BOM)))
                yield from read(segment, stream, first, config)
        except DAMAGED as error:
            raise unreadable(segment.path, error) from error


def batches(items: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Groups consecutive pieces into lists of about a megabyte, enough to keep the tokeniser busy."""
    batch: list[Piece] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.text) + 64  # an overhead per piece bounds a batch of tiny ones
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def text_before(segment: Segment, size: int, config: CorpusConfig) -> tuple[bytes, bool]:
    """About `size` bytes of text before the segment, from a token's start on.

    Returns:
        The text, and whether it reaches back to the start of the file.
    """
    begin = max(0, segment.start - size)
    with open_source(segment.path) as stream:
        stream.seek(begin)
        text = stream.read(segment.start - begin)
    if begin == 0:
        return _text(segment, 0, text, config).removeprefix(_BOM), True
    cut = re.search(rb"[\n ]", text)
    skipped = cut.end() if cut else len(text)
    return _text(segment, begin + skipped, text[skipped:], config), False


def _require_content(segment: Segment) -> None:
    """The file is no pointer that a system for large files left in its place."""
    if segment.start:
        return
    with segment.path.open("rb") as stream:
        beginning = stream.read(max(map(len, _POINTERS)))
    require(
        not beginning.startswith(_POINTERS),
        f"{segment.path} is a pointer of Git LFS or git-annex, not the text that it stands for",
        "bring the text (git lfs pull, git annex get), or leave the file out of the corpus",
    )


def _file(segment: Segment, stream: BinaryIO, first: int, config: CorpusConfig) -> Iterator[Piece]:
    """The segment as a part of one document."""
    length = segment.end - first if segment.end >= 0 else -1
    end = first
    for offset, text in _cut(stream, first, length, str(segment.path)):
        end = offset + len(text)
        yield Piece(segment, segment.split, segment.file, offset, _text(segment, offset, text, config))
    if end < segment.end:
        raise EOFError(f"it ends at byte {end:,}, but had {segment.end:,} or more when the run began")


def _paragraphs(segment: Segment, stream: BinaryIO, first: int, config: CorpusConfig) -> Iterator[Piece]:
    """Documents separated by blank lines, which belong to none."""
    begin, lines = first, list[bytes]()
    for offset, line in itertools.chain(_lines(segment, stream, first), [(-1, b"")]):
        if line.strip():
            lines.append(line)
            continue
        if lines:
            text = _text(segment, begin, b"".join(lines), config)
            yield from _document(segment, begin, begin, text, config)
        begin, lines = offset + len(line), []


def _json_lines(
    segment: Segment, stream: BinaryIO, first: int, config: CorpusConfig, skipped: Skipped
) -> Iterator[Piece]:
    """One JSON object a line, the document being one of its fields."""
    for offset, line in _lines(segment, stream, first):
        if not line.strip():
            continue
        try:
            text = _json_text(segment, offset, line, config)
        except UserError as error:
            skipped.add(error, config.skip_lines)
            continue
        yield from _document(segment, offset, 0, text, config)


def _json_text(segment: Segment, offset: int, line: bytes, config: CorpusConfig) -> bytes:
    """The text of the document that is the line at byte `offset`."""
    source = _text(segment, offset, line, config)
    try:
        value = json.loads(source, parse_int=float)  # Python makes no int of 5,000 digits
        if not isinstance(value, dict) or not isinstance(value.get(config.text_field), str):
            raise ValueError(f'it is no object with a string "{config.text_field}"')
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(
            f"{segment.path}, line {_line_number(segment, offset)} (byte {offset}) is no document: {reason}",
            remedy="correct the line, set corpus.text_field or corpus.documents to what the file holds, or allow some "
            "such lines by corpus.skip_lines",
        ) from error
    text: str = value[config.text_field]
    if config.invalid_utf8 == "replace":
        return _NO_TEXT.sub("\ufffd", text).encode()
    if found := _NO_TEXT.search(text):
        what = "a NUL" if found[0] == "\0" else "half a surrogate pair"
        raise UserError(
            f"{segment.path}, line {_line_number(segment, offset)} (byte {offset}) spells {what} by the escape "
            f"\\u{ord(found[0]):04x}, which is no text",
            remedy='correct the line, or set corpus.invalid_utf8 to "replace"',
        )
    return text.encode()


def _document(segment: Segment, begin: int, first: int, text: bytes, config: CorpusConfig) -> Iterator[Piece]:
    """The pieces of one document of several in a file: it begins at byte `begin`, its text counts from `first`."""
    split = segment.split or split_by_hash(text.strip(), config)
    for offset, part in _cut(io.BytesIO(text), first, -1, f"{segment.path}, document at byte {begin},"):
        yield Piece(segment, split, f"{segment.file}@{begin}", offset, part)


def _lines(segment: Segment, stream: BinaryIO, offset: int) -> Iterator[tuple[int, bytes]]:
    while (segment.end < 0 or offset < segment.end) and (line := stream.readline()):
        yield offset, line
        offset += len(line)


def _cut(stream: BinaryIO, offset: int, length: int, bounded: str = "") -> Iterator[tuple[int, bytes]]:
    """Reads `length` bytes (-1: all) in parts that end after a line end or, in a long line, after a space.

    Raises:
        UserError: there is none in `RUN_BYTES`; not where the name of the text, `bounded`, is empty.
    """
    held: list[bytes] = []
    while block := stream.read(PIECE_BYTES if length < 0 else min(PIECE_BYTES, length)):
        length -= len(block) if length >= 0 else 0
        # A short block is the last one: it stays in one piece.
        if len(block) == PIECE_BYTES and (end := block.rfind(b"\n") + 1 or block.rfind(b" ") + 1):
            part = b"".join([*held, block[:end]])
            yield offset, part
            offset += len(part)
            held = [block[end:]]
        else:
            held.append(block)
            require(
                not bounded or len(held) * PIECE_BYTES <= RUN_BYTES,
                f"{bounded} has no blank and no line end in the {RUN_BYTES:,} bytes from byte {offset:,} on",
                "cut the text into lines, or leave the file out of the corpus: it may be no text",
            )
    if rest := b"".join(held):
        yield offset, rest


def _text(segment: Segment, offset: int, data: bytes, config: CorpusConfig) -> bytes:
    """`data` as valid UTF-8.  It begins and ends between characters, so parts decode as the whole would."""
    if (position := data.find(b"\0")) >= 0:
        raise UserError(
            f"{segment.path} holds a NUL at byte {offset + position}: it is binary, or text that is not UTF-8",
            remedy="leave the file out of the corpus, or convert it to UTF-8",
        )
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if config.invalid_utf8 == "replace":
            return data.decode(errors="replace").encode()
        raise UserError(
            f"{segment.path} is not UTF-8 at byte {offset + error.start} ({error.reason})",
            remedy='correct the file, or set corpus.invalid_utf8 to "replace"',
        ) from error
    return data


def _line_number(segment: Segment, offset: int) -> int:
    """The number, from 1, of the line that begins at byte `offset` of the file's text."""
    with open_source(segment.path) as stream:
        return 1 + sum(line.count(b"\n") for _, line in _cut(stream, 0, offset))
