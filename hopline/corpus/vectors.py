"""Word vectors in files: word2vec's text and binary form, GloVe's, and fastText's `.vec`; read in one pass, in order.

    word2vec text, fastText .vec    "COUNT WIDTH", then a line a word: the word and WIDTH numbers
    GloVe                           the same without the first line
    word2vec binary                 "COUNT WIDTH", then the word, a space and WIDTH little-endian float32 each

Which of them a file is, its first bytes tell.  All may be compressed (`hopline.corpus.files.open_source`).  Nothing of
a file is kept but the words that it had so far, by which duplicates are found: a file of 10 GB takes the memory of its
words.
"""

import io
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hopline.config.section import require
from hopline.corpus import objects
from hopline.corpus.files import DAMAGED, open_source
from hopline.corpus.local import unreadable
from hopline.runtime.errors import UserError
from hopline.runtime.places import is_remote, parse_place
from hopline.store.folders import file_digest

KEY = "model.pretrained"
_LOOKED_AT = 4096  # bytes, to tell text from numbers
_LONGEST_LINE = 1 << 20
_LONGEST_WORD = 1000  # bytes, in a binary file; a longer one means that the file's width is not what it says
_FASTTEXT_MODEL = b"\xba\x16\x4f\x2f"
_REMEDY = f"get the file anew, or set {KEY} to another"
_TEXT_CONTROLS = frozenset(b"\t\n\r")


@dataclass(frozen=True)
class Located:
    """A file of vectors.

    Attributes:
        path: on this machine.
        digest: what tells its content from another's: SHA-256, or what an object store calls it.
    """

    path: Path
    digest: str


def locate(place: str, scratch: Path, step: str) -> Located:
    """The file at a path or a gs:// or s3:// URI, whose copy is then below `scratch`.

    Raises:
        UserError: there is no such file, or it cannot be read; or as every method of `Store` does.
    """
    if is_remote(place):
        _, origins = objects.matches(KEY, place)
        require(len(origins) == 1, f"{KEY} is {place}, which names {len(origins)} objects", "name one file of vectors")
        path = objects.local_path(scratch / "vectors", origins[0])
        objects.fetch([(origins[0], path)], step)
        return Located(path, origins[0].entry.content)
    path = Path(parse_place(place))
    require(path.is_file(), f"{KEY} is {place}, which is no file", f"correct {KEY}; it names one file of word vectors")
    try:
        return Located(path, file_digest(path))
    except OSError as error:
        raise unreadable(path, error) from error


def check_vectors(path: Path, width: int) -> int:
    """Reads the whole file; how many words it has.

    Raises:
        UserError: as `read_vectors`.
    """
    return sum(1 for _ in read_vectors(path, width))


def read_vectors(path: Path, width: int) -> Iterator[tuple[bytes, Sequence[float]]]:
    """The words of a file, in UTF-8, with their vectors.

    Args:
        path: of the file.
        width: of the vectors that are wanted.

    Raises:
        UserError: the file is damaged (a wrong count, line or number, a word that comes twice, an end within a word) or
            its vectors have another width; the message has the line, or the byte of a binary file.
    """
    try:
        with open_source(path) as source:
            beginning = source.peek(_LOOKED_AT)[:_LOOKED_AT]
            require(bool(beginning), f"{path} is empty, but {KEY} names a file of word vectors", _REMEDY)
            require(
                not beginning.startswith(_FASTTEXT_MODEL),
                f"{path} is a model of fastText, which {KEY} cannot read",
                "give the file of vectors that fastText wrote beside it, the one that ends in .vec",
            )
            header = _header(beginning)
            found = header[1] if header else len(_fields(beginning.split(b"\n", 1)[0])) - 1
            require(
                found == width,
                f"{path}:1: the vectors are {found} wide, but the tables of the model are {width}",
                f"set model.factor to {found} (or model.width, where model.factor is 0), or {KEY} to other vectors",
            )
            first_line = len(beginning.split(b"\n", 1)[0]) + 1 if header else 0
            seen: dict[bytes, int] = {}
            is_text = not header or _is_text(beginning[first_line:])
            read = _read_text if is_text else _read_binary
            for place, word, vector in read(path, source, header, width):
                where = f"{path}:{place}" if is_text else f"{path}, byte {place:,}"
                if not all(map(math.isfinite, vector)):
                    raise UserError(
                        f"{where}: the vector of {_shown(word)} has a number that is not finite", remedy=_REMEDY
                    )
                if word in seen:
                    raise UserError(
                        f"{where}: {_shown(word)} comes twice; it was in {'line' if is_text else 'byte'} "
                        f"{seen[word]:,} before", remedy="remove one of the two",
                    )  # fmt: skip
                seen[word] = place
                yield word, vector
    except DAMAGED as error:
        raise unreadable(path, error) from error


def _read_text(
    path: Path, source: io.BufferedReader, header: tuple[int, int] | None, width: int
) -> Iterator[tuple[int, bytes, list[float]]]:
    """Lines of text: the line's number, word and vector."""
    number = 0
    if header:
        source.readline()
        number = 1
    while line := source.readline(_LONGEST_LINE):
        number += 1
        require(
            line.endswith(b"\n") or len(line) < _LONGEST_LINE,
            f"{path}:{number}: a line of more than a megabyte",
            _REMEDY,
        )
        fields = _fields(line)
        # A word may have spaces in it (GloVe's of 840 billion words do): the numbers are the last fields.
        word = b" ".join(fields[:-width]) if len(fields) > width else b""
        try:
            vector = [float(field) for field in fields[-width:]] if word else []
        except ValueError:
            vector = []
        if not vector or (len(fields) > width + 1 and _is_number(fields[-width - 1])):
            raise UserError(f"{path}:{number}: the line is not a word and {width} numbers", remedy=_REMEDY)
        yield number, word, vector
    if header:
        found = number - 1
        require(found == header[0], f"{path}:{number}: the file says {header[0]:,} words, but has {found:,}", _REMEDY)


def _read_binary(
    path: Path, source: io.BufferedReader, header: tuple[int, int] | None, width: int
) -> Iterator[tuple[int, bytes, tuple[float, ...]]]:
    """Records of a binary file: the byte at which the record begins, word and vector."""
    assert header
    at, numbers = len(source.readline()), struct.Struct(f"<{width}f")
    for record in range(1, header[0] + 1):
        word = bytearray()
        while (byte := source.read(1)) != b" ":
            if not byte or len(word) == _LONGEST_WORD:
                reason = "the file ends" if not byte else f"no word ends within {_LONGEST_WORD:,} bytes"
                raise UserError(
                    f"{path}, byte {at:,}: {reason} in word {record:,} of the {header[0]:,} that it says",
                    remedy=_REMEDY,
                )
            word += byte
        vector = source.read(numbers.size)
        if len(vector) < numbers.size:
            raise UserError(
                f"{path}, byte {at + len(word) + 1 + len(vector):,}: the file ends in the vector of word {record:,} of "
                f"the {header[0]:,} that it says", remedy=_REMEDY,
            )  # fmt: skip
        own = bytes(word).lstrip(b"\n")  # the authors' program ends a vector with a newline
        yield at + len(word) - len(own), own, numbers.unpack(vector)
        at += len(word) + 1 + numbers.size
    rest = source.read(2)
    require(not rest.strip(), f"{path}, byte {at:,}: there is more than the {header[0]:,} words that it says", _REMEDY)


def _header(beginning: bytes) -> tuple[int, int] | None:
    """Count and width, if the file begins with them."""
    fields = beginning.split(b"\n", 1)[0].split()
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


def _is_number(field: bytes) -> bool:
    """Whether the field is written as vectors' numbers are, with a point: a line then has one number too many."""
    try:
        float(field)
    except ValueError:
        return False
    return b"." in field


def _shown(word: bytes) -> str:
    return f'"{word.decode("utf-8", "replace")}"'
