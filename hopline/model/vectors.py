"""Word vectors in files: word2vec's text and binary form, GloVe's, and fastText's `.vec`; read in one pass, in order.

    word2vec text, fastText .vec    "COUNT WIDTH", then a line a word: the word and WIDTH numbers
    GloVe                           the same without the first line
    word2vec binary                 "COUNT WIDTH", then the word, a space and WIDTH little-endian float32 each

Which of them a file is, its first bytes tell.  All may be compressed, and are read where they are, on this machine or
in an object store (`hopline.store.sources`).  What is held of a file does not grow with it (`hopline.store.repeats`).
"""

import io
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hopline.runtime.errors import UserError
from hopline.runtime.progress import Progress
from hopline.store.repeats import Repeats
from hopline.store.sources import Source

KEY = "model.pretrained"
_LOOKED_AT = 4096  # bytes, to tell text from numbers
_LONGEST_LINE = 1 << 20
_LONGEST_WORD = 1000  # bytes, in a binary file; a longer one means that the file's width is not what it says
_BLOCK_BYTES = 1 << 18  # of a binary file, read at once
_LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]  # float32
_FASTTEXT_MODEL = b"\xba\x16\x4f\x2f"
_REMEDY = f"get the file anew, or set {KEY} to another"
_TEXT_CONTROLS = frozenset(b"\t\n\r")
_SHOWN_EVERY = 1 << 12  # words

# Where a word begins, by line or byte; the word; its vector.
Records = Iterator[tuple[int, bytes, Sequence[float]]]


@dataclass(frozen=True)
class _Form:
    """What the beginning of a file says of it.

    Attributes:
        place: of the file.
        count: of its words; None where it does not say, as GloVe's do not.
        width: of its vectors.
        is_text: whether a word is a line.
        first: the first line, which has been read.
    """

    place: str
    count: int | None
    width: int
    is_text: bool
    first: bytes

    def error(self, at: int, text: str, remedy: str = _REMEDY) -> UserError:
        """The error of a line or byte."""
        where = f"{self.place}:{at}" if self.is_text else f"{self.place}, byte {at:,}"
        return UserError(f"{where}: {text}", remedy=remedy)

    def records(self, stream: io.BufferedReader) -> Records:
        """The words of the file, of which `stream` has what follows the first line."""
        return _read_text(stream, self) if self.is_text else _read_binary(stream, self)


def check_vectors(source: Source, width: int, step: str) -> int:
    """Reads the whole file; how many words it has.

    Raises:
        UserError, InternalError: as `read_vectors`.
    """
    return sum(1 for _ in read_vectors(source, width, step))


def read_vectors(source: Source, width: int, step: str) -> Iterator[tuple[bytes, Sequence[float]]]:
    """The words of a file, in UTF-8, with their vectors.

    Args:
        source: the file.
        width: of the vectors that are wanted.
        step: the step whose progress is shown.

    Raises:
        UserError: the file is damaged (a wrong count, line or number, a word that comes twice, an end within a word) or
            its vectors have another width; the message has the line, or the byte of a binary file.  Of a word that
            comes twice with many others between, it comes after the last word.  Or as `Source.open`.
        InternalError: as `Source.open`.
    """
    with source.open() as stream, Repeats() as repeats:
        form = _form_of(stream, source.place, width)
        progress = Progress(step, form.count or 0, "words", phase="reading vectors")
        for number, (at, word, vector) in enumerate(form.records(stream)):
            if not _is_finite(vector):
                raise form.error(at, f"the vector of {_shown(word)} has a number that is not finite in float32")
            before = repeats.add(word, at)
            if before is not None:
                raise _repeated(form, word, before, at)
            if number % _SHOWN_EVERY == _SHOWN_EVERY - 1:
                progress.update(number + 1)
            yield word, vector
        likely = {second: first for first, second in repeats.likely()}
    if likely:
        _require_no_repeat(source, width, likely)


def _require_no_repeat(source: Source, width: int, likely: dict[int, int]) -> None:
    """Reads the file again, as far as must be, to see whether words whose hashes are the same are the same.

    Args:
        source: the file.
        width: of its vectors.
        likely: the place of each second word, and that of the first.
    """
    wanted, words = {*likely, *likely.values()}, {}
    with source.open() as stream:
        form = _form_of(stream, source.place, width)
        for at, word, _ in form.records(stream):
            if at not in wanted:
                continue
            words[at] = word
            if words.get(likely.get(at, -1)) == word:
                raise _repeated(form, word, likely[at], at)
            if len(words) == len(wanted):
                return


def _repeated(form: _Form, word: bytes, before: int, at: int) -> UserError:
    unit = "line" if form.is_text else "byte"
    return form.error(at, f"{_shown(word)} comes twice; it was in {unit} {before:,} before", "remove one of the two")


def _form_of(stream: io.BufferedReader, place: str, width: int) -> _Form:
    """What the beginning of `stream` says of the file, whose vectors must be `width` wide; the first line is read."""
    first = stream.readline(_LONGEST_LINE)
    if not first:
        raise UserError(f"{place} is empty, but {KEY} names a file of word vectors", remedy=_REMEDY)
    if first.startswith(_FASTTEXT_MODEL):
        raise UserError(
            f"{place} is a model of fastText, which {KEY} cannot read",
            remedy="give the file of vectors that fastText wrote beside it, the one that ends in .vec",
        )
    header = _header(first)
    found = header[1] if header else len(_fields(first)) - 1
    if found != width:
        raise UserError(
            f"{place}:1: the vectors are {found} wide, but the tables of the model are {width}",
            remedy=f"set model.factor to {found} (or model.width, where model.factor is 0), or {KEY} to other vectors",
        )
    is_text = not header or _is_text(stream.peek(_LOOKED_AT)[:_LOOKED_AT])
    return _Form(place, header[0] if header else None, width, is_text, first)


def _read_text(stream: io.BufferedReader, form: _Form) -> Records:
    """Lines of text: the line's number, word and vector."""
    width, number = form.width, 0 if form.count is None else 1
    line = form.first if form.count is None else stream.readline(_LONGEST_LINE)
    while line:
        number += 1
        if not line.endswith(b"\n") and len(line) >= _LONGEST_LINE:
            raise form.error(number, "a line of more than a megabyte")
        fields = _fields(line)
        # A word may have spaces in it (GloVe's of 840 billion words do): the numbers are the last fields.
        word = b" ".join(fields[:-width]) if len(fields) > width else b""
        try:
            vector = list(map(float, fields[-width:])) if word else []
        except ValueError:
            vector = []
        if not vector or (len(fields) > width + 1 and _is_number(fields[-width - 1])):
            raise form.error(number, f"the line is not a word and {width} numbers")
        yield number, word, vector
        line = stream.readline(_LONGEST_LINE)
    if form.count is not None and number - 1 != form.count:
        raise form.error(number, f"the file says {form.count:,} words, but has {number - 1:,}")


def _read_binary(stream: io.BufferedReader, form: _Form) -> Records:
    """Records of a binary file: the byte at which the record begins, word and vector."""
    assert form.count is not None
    numbers = struct.Struct(f"<{form.width}f")
    longest = _LONGEST_WORD + 1 + numbers.size
    begins, block, here = len(form.first), b"", 0  # the block is what follows byte `begins` of the file
    for record in range(1, form.count + 1):
        if len(block) - here < longest:
            begins, block, here = begins + here, block[here:] + stream.read(max(_BLOCK_BYTES, longest)), 0
        space = block.find(b" ", here, here + _LONGEST_WORD + 1)
        end = space + 1 + numbers.size
        said = f"word {record:,} of the {form.count:,} that it says"
        if space < 0:
            ends = len(block) - here <= _LONGEST_WORD
            reason = "the file ends" if ends else f"no word ends within {_LONGEST_WORD:,} bytes"
            raise form.error(begins + here, f"{reason} in {said}")
        if end > len(block):
            raise form.error(begins + len(block), f"the file ends in the vector of {said}")
        word = block[here:space].lstrip(b"\n")  # the authors' program ends a vector with a newline
        yield begins + space - len(word), word, numbers.unpack_from(block, space + 1)
        here = end
    if (block[here:] + stream.read(_LOOKED_AT)).strip():
        raise form.error(begins + here, f"there is more than the {form.count:,} words that it says")


def _header(line: bytes) -> tuple[int, int] | None:
    """Count and width, if the first line has them."""
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _fields(line: bytes) -> list[bytes]:
    return line.rstrip(b" \t\r\n").replace(b"\t", b" ").split(b" ")


def _is_text(part: bytes) -> bool:
    """Whether the beginning of the records is text: UTF-8 without control characters, as no run of float32 is."""
    try:
        part.decode()
    except UnicodeDecodeError as error:
        if error.end < len(part) - 3:  # else it is the character at the end that was cut
            return False
    return not any(byte < 32 and byte not in _TEXT_CONTROLS for byte in part)


def _is_finite(vector: Sequence[float]) -> bool:
    """Whether every number is one of float32, which ends at 3.4e38."""
    return math.isfinite(sum(vector)) and min(vector) >= -_LARGEST and max(vector) <= _LARGEST


def _is_number(field: bytes) -> bool:
    """Whether the field is written as vectors' numbers are, with a point: a line then has one number too many."""
    try:
        float(field)
    except ValueError:
        return False
    return b"." in field


def _shown(word: bytes) -> str:
    return f'"{word.decode("utf-8", "replace")}"'
