"""What an object store is to hopline: a few operations on the objects below one prefix, and the ways they fail.

`hopline.gcs` and `hopline.s3` each make one attempt at an operation (`Bucket`); `Store` adds patience and resumption.
`hopline.remote` copies whole trees with it.
"""

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from hopline import storage
from hopline.errors import InternalError, UserError

SCHEMES = ("gs://", "s3://", "minio://")  # the last: Kubeflow's name for the S3 server that it brings
ABSENT = ""  # the version of an object that does not exist
CHUNK_BYTES = 8 * 1024 * 1024  # what one request carries of a larger file
TIMEOUT_SECONDS = (10, 60)  # to connect, and to wait for the next bytes
PATIENCE_SECONDS = 120.0  # how long one request is tried again before the store counts as away
THREADS = 8  # requests at once
_LONGEST_PAUSE_SECONDS = 10.0
_COPIES = 3  # of a file that arrives damaged

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """An object.

    Attributes:
        name: below the store's prefix.
        size: in bytes.
        version: changes with every write (GCS) or with the content (S3): a generation or an ETag.
        sha256: of the content, if hopline uploaded it and the operation tells; "" otherwise.
    """

    name: str
    size: int
    version: str
    sha256: str = ""


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
        """Writes the file whole; `report` is told how many bytes were taken from it."""

    def delete(self, name: str) -> None:
        """Deletes the object; its absence is no error."""

    def fault(self, error: Exception) -> Exception:
        """What `error`, raised by any of these, means: UserError, ConflictError, UnavailableError or itself."""


class Store:
    """The objects below the URI `uri`: gs://bucket/prefix or s3://bucket/prefix.  Threads may share it.

    Every method tries again, with growing pauses, while the store is away.

    Raises, in every method:
        UserError: the bucket does not exist, or the credentials are missing or refused.
        InternalError: the store stayed away for PATIENCE_SECONDS.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        scheme, _, rest = self.uri.partition("://")
        bucket, _, prefix = rest.partition("/")
        if not uri.startswith(SCHEMES) or not bucket:
            raise UserError(
                f'"{uri}" is no place in an object store', remedy="write gs://bucket/prefix or s3://bucket/prefix"
            )
        self._prefix = f"{prefix}/" if prefix else ""
        self._bucket = _open_bucket(scheme, bucket)
        self._stopped = threading.Event()

    def entries(self, prefix: str = "") -> list[Entry]:
        """All objects whose names, below the store's own prefix, begin with `prefix`; sorted."""
        found = self._persist(lambda: self._bucket.entries(self._prefix + prefix))
        cut = len(self._prefix)
        return [Entry(entry.name[cut:], entry.size, entry.version, entry.sha256) for entry in found]

    def stat(self, name: str) -> Entry | None:
        """The object's size, version and, if hopline uploaded it, SHA-256; None if it does not exist."""
        found = self._persist(lambda: self._bucket.stat(self._prefix + name))
        return found and Entry(name, found.size, found.version, found.sha256)

    def read(self, name: str) -> tuple[bytes, str] | None:
        """A small object's content and version; None if it does not exist, though the bucket does."""
        found = self._persist(lambda: self._bucket.read(self._prefix + name))
        if found is None:
            self.entries(name)  # raises if it is the bucket that does not exist
        return found

    def read_all(self, names: Sequence[str]) -> list[tuple[bytes, str] | None]:
        """`read` of each of `names`, several at once."""
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(self.read, names))

    def write(self, name: str, data: bytes, *, expected: str | None = None) -> str:
        """Writes a small object: whatever is there, or only over the version `expected` (ABSENT: none).

        Returns:
            The new version.

        Raises:
            ConflictError: the object is of another version, and does not hold `data` either.  (If it does, this was
                written before and the answer lost.)
        """
        try:
            return self._persist(lambda: self._bucket.write(self._prefix + name, data, expected))
        except ConflictError:
            found = self.read(name)
            if found is None or found[0] != data:
                raise
            return found[1]

    def upload_file(
        self, path: Path, name: str, *, sha256: str = "", report: Callable[[int], None] | None = None
    ) -> None:
        """Writes the file `path` to the object `name`, which is there whole or not at all.

        Args:
            path: the file.
            name: of the object.
            sha256: of the file, where it is known already.
            report: is told the number of bytes sent, which goes back when sending starts again.
        """
        digest = sha256 or storage.file_digest(path)

        def advance(done: int) -> None:
            self._refuse_if_stopped()
            if report:
                report(done)

        self._persist(lambda: self._bucket.upload(path, self._prefix + name, digest, advance))

    def download_file(
        self, name: str, path: Path, *, sha256: str = "", report: Callable[[int], None] | None = None
    ) -> None:
        """Writes the object `name` to the file `path`, which is there whole or not at all.

        What a killed process has fetched of it is kept under a temporary name, and fetched no more.

        Args:
            name: of the object.
            path: the file; its folder exists.
            sha256: what the content must have; by default what was recorded when hopline uploaded it, if it did.
            report: is told the number of bytes fetched.

        Raises:
            UserError: the object does not exist.
            InternalError: it was replaced meanwhile, or its content is not what `sha256` says.
        """
        entry = self.stat(name)
        if entry is None:
            raise UserError(f"{self.uri}/{name} does not exist", remedy="run the step that makes it again")
        expected = sha256 or entry.sha256
        partial = path.with_name(f".{path.name}.partial")
        if not expected:  # nothing would tell if the pieces were of different versions
            partial.unlink(missing_ok=True)
        for _ in range(_COPIES):
            self._fetch(entry, partial, report)
            if not expected or storage.file_digest(partial) == expected:
                partial.rename(path)
                return
            partial.unlink()
        raise DamagedError(
            f"{self.uri}/{name} differs from its recorded SHA-256, {_COPIES} times", remedy="run again, or send it anew"
        )

    def _fetch(self, entry: Entry, partial: Path, report: Callable[[int], None] | None) -> None:
        """Appends to `partial` what is missing of the object."""
        with partial.open("ab") as stream:
            if stream.tell() > entry.size:
                stream.truncate(0)
            while (start := stream.tell()) < entry.size:
                stream.write(self._chunk(entry, start))
                stream.flush()
                if report:
                    report(stream.tell())
            os.fsync(stream.fileno())

    def _chunk(self, entry: Entry, start: int) -> bytes:
        length = min(CHUNK_BYTES, entry.size - start)
        name = self._prefix + entry.name
        try:
            return self._persist(lambda: self._bucket.read_range(name, start, length, entry.version))
        except ConflictError as error:
            raise InternalError(
                f"{self.uri}/{entry.name} was replaced while it was fetched", remedy="run again"
            ) from error

    def delete(self, name: str) -> None:
        """Deletes the object; its absence is no error."""
        self._persist(lambda: self._bucket.delete(self._prefix + name))

    def stop(self) -> None:
        """Makes what other threads are doing with this store end soon, with an error."""
        self._stopped.set()

    def _refuse_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise InternalError("the copy was stopped")

    def _persist(self, call: Callable[[], T]) -> T:
        """What `call` returns, called until it succeeds, fails for good, or the patience ends."""
        pause, deadline = 0.25, time.monotonic() + PATIENCE_SECONDS
        while True:
            self._refuse_if_stopped()
            try:
                return call()
            except Exception as error:
                fault = self._bucket.fault(error)
                if fault is error and not isinstance(error, UnavailableError):
                    raise
                if not isinstance(fault, UnavailableError):
                    raise fault from error
                if time.monotonic() + pause > deadline:
                    raise InternalError(
                        f"{self.uri} did not answer for {PATIENCE_SECONDS:.0f} s: {fault}",
                        remedy="see whether the store can be reached, then run again",
                    ) from error
            jitter = random.uniform(0.5, 1.0)  # noqa: S311  (so that many do not come back at the same moment)
            self._stopped.wait(pause * jitter)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _open_bucket(scheme: str, name: str) -> Bucket:
    """The client libraries are imported only where they are used: they take a second, and local runs need none."""
    try:
        if scheme == "gs":
            from hopline.gcs import GoogleBucket  # noqa: PLC0415

            return GoogleBucket(name)
        from hopline.s3 import AmazonBucket  # noqa: PLC0415

        return AmazonBucket(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{scheme}:// needs the Python package {error.name}, which is not installed",
            remedy="install hopline with the extra of the step, such as hopline[train]",
        ) from error
