"""What an object store is to hopline: one attempt at each of a few operations, and the ways they fail.

`hopline.store.gcs` and `hopline.store.s3` are the kinds of store.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from hopline.runtime.errors import InternalError

ABSENT = ""  # the version of an object that does not exist
CHUNK_BYTES = 8 * 1024 * 1024  # what one request carries of a larger file
TIMEOUT_SECONDS = (10, 60)  # to connect, and to wait for the next bytes
THREADS = 8  # requests at once


@dataclass(frozen=True)
class Entry:
    """An object.

    Attributes:
        name: below the store's prefix.
        size: in bytes.
        version: changes with every write (GCS) or with the content (S3): a generation or an ETag.
        sha256: of the content, if hopline uploaded it and the operation tells; "" otherwise.
        md5: of the content, in hexadecimal, if the store tells; "" otherwise.
    """

    name: str
    size: int
    version: str
    sha256: str = ""
    md5: str = ""

    @property
    def content(self) -> str:
        """Tells contents apart: objects of different content differ in it, whatever operation found them."""
        return self.md5 or self.version


def media_type(name: str) -> str:
    """The media type of the small object `name`, so that a browser shows a page that it is pointed at."""
    kinds = {".html": "text/html", ".json": "application/json", ".md": "text/markdown"}
    kind = kinds.get(PurePosixPath(name).suffix)
    return f"{kind}; charset=utf-8" if kind else "application/octet-stream"


class ConflictError(InternalError):
    """The object is not of the version that the operation required: another writer was there."""


class DamagedError(InternalError):
    """An object's content is not what was recorded of it, however often it is fetched."""


class UnavailableError(Exception):
    """The store did not answer, or not now: the same again may succeed."""


class Bucket(Protocol):
    """One attempt at each operation; names are whole object names."""

    def entries(self, prefix: str) -> list[Entry]:
        """All objects whose names begin with `prefix`, sorted; without SHA-256 where that costs a request each."""

    def stat(self, name: str) -> Entry | None:
        """The object with its SHA-256, or None."""

    def read(self, name: str) -> tuple[bytes, str] | None:
        """The content and its version, or None if there is no such object."""

    def read_range(self, name: str, start: int, length: int, version: str) -> bytes:
        """`length` bytes from `start` of that version; raises ConflictError if the store tells that it is gone."""

    def write(self, name: str, data: bytes, expected: str | None) -> str:
        """Writes if the object is of the version `expected` (ABSENT: does not exist; None: whatever is there).

        Returns the new version.  Raises ConflictError if it is of another.
        """

    def upload(self, path: Path, name: str, sha256: str, report: Callable[[int], None]) -> None:
        """Writes the file whole; `report` is called with the number of bytes that were taken from it."""

    def delete(self, name: str) -> None:
        """Deletes the object; its absence is no error."""

    def fault(self, error: Exception) -> Exception:
        """What `error`, raised by any of these, means: UserError, ConflictError, UnavailableError or itself."""
