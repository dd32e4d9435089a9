"""Files opened for reading, on this machine and in object stores.

They are decompressed where their name ends in .gz, .bz2, .xz or .zst, in any case.
"""

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

from hopline.runtime.errors import UserError
from hopline.runtime.places import is_remote, parse_place
from hopline.store.bucket import DamagedError, Entry
from hopline.store.folders import file_digest
from hopline.store.objects import Store

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what reading a damaged file raises


def is_compressed(name: str | Path) -> bool:
    """Whether a file or object of this name is decompressed."""
    return _suffix(name) in _COMPRESSED


def open_source(path: Path) -> io.BufferedReader:
    """Opens the file for reading.

    Raises:
        UserError: it cannot be opened.  Reading damaged data raises one of `DAMAGED`.
    """
    try:
        return _decompressed(path, _suffix(path)) if is_compressed(path) else path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error


@dataclass(frozen=True)
class Source:
    """One file, on this machine or in an object store.

    Attributes:
        place: its path or URI.
        digest: what tells its content from another's: SHA-256, or what an object store calls it.
        entry: the object, None on this machine.
    """

    place: str
    digest: str
    entry: Entry | None = None

    @contextlib.contextmanager
    def open(self) -> Iterator[io.BufferedReader]:
        """Its bytes, decompressed.  Of an object a few chunks are in memory, and none on disk.

        Raises:
            UserError: the file cannot be opened or is damaged; or as every method of `Store` does.
            InternalError: the object was replaced, or is not what the store recorded; or as every method of `Store`.
        """
        try:
            if self.entry is None:
                with open_source(Path(self.place)) as stream:
                    yield stream
                return
            store, _ = _divided(self.place)
            with cast(io.BufferedReader, io.BufferedReader(_Object(store, self.entry), 1 << 20)) as stream:
                if is_compressed(self.place):
                    with _decompressed(stream, _suffix(self.place)) as decompressed:
                        yield decompressed
                else:
                    yield stream
        except DAMAGED as error:
            raise unreadable(self.place, error) from error


def locate(key: str, place: str) -> Source:
    """The file at a path or a gs:// or s3:// URI; of what is in an object store nothing is fetched.

    Args:
        key: the configuration's key, for messages.
        place: path or URI.

    Raises:
        UserError: there is no such file, or it cannot be read; or as every method of `Store` does.
    """
    if is_remote(place):
        store, name = _divided(place)
        entry = None if name.endswith("/") or not name else store.stat(name)  # "a/" stands for a folder
        if entry is None:
            store.entries(name)  # raises if it is the bucket that is not there
            raise UserError(
                f"{key} is {place}, which names no object", remedy=f"correct {key}; it names one file, and no pattern"
            )
        return Source(place, entry.content, entry)
    path = Path(parse_place(place))
    if not path.is_file():
        raise UserError(f"{key} is {place}, which is no file", remedy=f"correct {key}; it names one file")
    try:
        return Source(place, file_digest(path))
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(place: Path | str, error: Exception) -> UserError:
    """The error for a file, folder or object that cannot be read."""
    reason = getattr(error, "strerror", None) or error
    return UserError(f"{place} cannot be read: {reason}", remedy="check the file and its permissions")


class _Object(io.RawIOBase):
    """The bytes of an object in order; each chunk is fetched with retries, and the last is followed by a check."""

    def __init__(self, store: Store, entry: Entry) -> None:
        self._place, self._chunks = f"{store.uri}/{entry.name}", store.chunks(entry)
        self._expected = entry.sha256 or entry.md5
        self._digest = hashlib.new("sha256" if entry.sha256 else "md5", usedforsecurity=False)
        self._left = memoryview(b"")  # of the chunk that came last

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._left:
            chunk = next(self._chunks, b"")
            self._digest.update(chunk)
            self._left = memoryview(chunk)
            if not chunk and self._expected and self._digest.hexdigest() != self._expected:
                raise DamagedError(
                    f"{self._place} differs from its recorded {self._digest.name.upper()}",
                    remedy="run again, or send it anew",
                )
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        self._chunks.close()
        super().close()


def _decompressed(source: Path | BinaryIO, suffix: str) -> io.BufferedReader:
    if suffix == ".gz":
        return io.BufferedReader(gzip.open(source))
    if suffix == ".bz2":
        return io.BufferedReader(bz2.open(source))
    if suffix == ".xz":
        return io.BufferedReader(lzma.open(source))
    import pyarrow as pa  # noqa: PLC0415  # the zstandard package takes a truncated file for a whole one

    packed = pa.OSFile(os.fspath(source)) if isinstance(source, Path) else pa.PythonFile(source)
    return io.BufferedReader(pa.CompressedInputStream(packed, "zstd"))


def _divided(uri: str) -> tuple[Store, str]:
    """The bucket of a URI, and the name of the object in it."""
    scheme, _, rest = uri.partition("://")
    bucket, _, name = rest.partition("/")
    return Store(f"{scheme}://{bucket}"), name


def _suffix(name: str | Path) -> str:
    return PurePath(name).suffix.lower()
