"""The objects below one prefix of an object store, with retries and resumption.

`hopline.store.bucket` is what a store is; `hopline.store.trees` copies whole trees.
"""

import glob
import hashlib
import itertools
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hopline.runtime.errors import InternalError, UserError
from hopline.runtime.places import SCHEMES
from hopline.runtime.retry import pauses
from hopline.store import folders
from hopline.store.bucket import CHUNK_BYTES, THREADS, Bucket, ConflictError, DamagedError, Entry, UnavailableError

PATIENCE_SECONDS = 120.0  # how long one request is tried again before the store counts as away
_CHUNKS = 4  # of one file, fetched at once; as many of each file are held in memory
_LINE_SECONDS = 5.0
_COPIES = 3  # of a file that arrives damaged

T = TypeVar("T")


class Store:
    """The objects below the URI `uri`: gs://bucket/prefix, or s3:// or minio://.  Threads may share it.

    Every method tries again, with growing pauses, while the store is away, and says so every few seconds.

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
        self._chunk_pool = ThreadPoolExecutor(THREADS)  # for all files at once; its threads start when they are needed
        self._stopped = threading.Event()
        self._said_at = time.monotonic()

    def entries(self, prefix: str = "") -> list[Entry]:
        """All objects whose names, below the store's own prefix, begin with `prefix`; sorted."""
        found = self._persist(lambda: self._bucket.entries(self._prefix + prefix))
        cut = len(self._prefix)
        return [replace(entry, name=entry.name[cut:]) for entry in found]

    def stat(self, name: str) -> Entry | None:
        """The object's size, version and, if hopline uploaded it, SHA-256; None if it does not exist."""
        found = self._persist(lambda: self._bucket.stat(self._prefix + name))
        return found and replace(found, name=name)

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
            report: called with the number of bytes sent, which goes back when sending starts again.
        """
        digest = sha256 or folders.file_digest(path)

        def advance(done: int) -> None:
            self._refuse_if_stopped()
            if report:
                report(done)

        self._persist(lambda: self._bucket.upload(path, self._prefix + name, digest, advance))

    def download_file(
        self,
        name: str,
        path: Path,
        *,
        version: str = "",
        sha256: str = "",
        report: Callable[[int], None] | None = None,
    ) -> None:
        """Writes the object `name` to the file `path`, which is there whole or not at all.

        What a killed process has fetched of this version is kept under a temporary name, and fetched no more.

        Args:
            name: of the object.
            path: the file; its folder exists.
            version: that the object must be of; by default whatever is there.
            sha256: what the content must have; by default what was recorded when hopline uploaded it, if it did, or
                else the MD5 that the store gives, if it does.
            report: called with the number of bytes fetched.

        Raises:
            UserError: the object does not exist.
            InternalError: it was replaced, or its content is not what `sha256` or the store says.
        """
        entry = self.stat(name)
        if entry is None:
            raise UserError(f"{self.uri}/{name} does not exist", remedy="run the step that makes it again")
        if version and entry.version != version:
            raise self._replaced(name)
        algorithm = "SHA256" if sha256 or entry.sha256 else "MD5"
        expected = sha256 or entry.sha256 or entry.md5
        partial = _partial(path, entry.version)
        for _ in range(_COPIES):
            self._fetch(entry, partial, report)
            if not expected or folders.file_digest(partial, algorithm) == expected:
                partial.rename(path)
                return
            partial.unlink()
        raise DamagedError(
            f"{self.uri}/{name} differs from its recorded {algorithm}, {_COPIES} times",
            remedy="run again, or send it anew",
        )

    def _fetch(self, entry: Entry, partial: Path, report: Callable[[int], None] | None) -> None:
        """Appends to `partial` what is missing of the object."""
        with partial.open("ab") as stream:
            if stream.tell() > entry.size:
                stream.truncate(0)
            for chunk in self.chunks(entry, stream.tell()):
                stream.write(chunk)
                stream.flush()
                if report:
                    report(stream.tell())
            os.fsync(stream.fileno())

    def chunks(self, entry: Entry, start: int = 0) -> Generator[bytes, None, None]:
        """What follows byte `start` of this very version of the object, in order, while the next are on their way.

        Raises:
            InternalError: the object was replaced meanwhile.
        """
        starts = iter(range(start, entry.size, CHUNK_BYTES))
        coming = deque(self._chunk_pool.submit(self._chunk, entry, at) for at in itertools.islice(starts, _CHUNKS))
        try:
            while coming:
                yield coming.popleft().result()
                coming.extend(self._chunk_pool.submit(self._chunk, entry, at) for at in itertools.islice(starts, 1))
        finally:
            for chunk in coming:
                chunk.cancel()

    def _chunk(self, entry: Entry, start: int) -> bytes:
        length = min(CHUNK_BYTES, entry.size - start)
        name = self._prefix + entry.name
        try:
            return self._persist(lambda: self._bucket.read_range(name, start, length, entry.version))
        except ConflictError as error:
            raise self._replaced(entry.name) from error

    def _replaced(self, name: str) -> InternalError:
        return InternalError(f"{self.uri}/{name} was replaced while it was fetched", remedy="run again")

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
        again = pauses(PATIENCE_SECONDS, first=0.25)
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
                seconds = next(again, None)
                if seconds is None:
                    raise InternalError(
                        f"{self.uri} did not answer for {PATIENCE_SECONDS:.0f} s: {fault}",
                        remedy="see whether the store can be reached, then run again",
                    ) from error
                self._say(f"{self.uri} does not answer, trying again: {fault}")
            self._stopped.wait(seconds)

    def _say(self, text: str) -> None:
        """Prints `text`, unless something was printed a moment ago."""
        if time.monotonic() - self._said_at >= _LINE_SECONDS:
            self._said_at = time.monotonic()
            print(text, file=sys.stderr, flush=True)


def _partial(path: Path, version: str) -> Path:
    """The file that becomes `path`, for this version of an object alone; those for others are removed."""
    digest = hashlib.sha256(version.encode()).hexdigest()[:8]
    result = path.with_name(f".{path.name}.{digest}.partial")
    for other in path.parent.glob(f".{glob.escape(path.name)}.{'?' * len(digest)}.partial"):
        if other != result:
            other.unlink()
    return result


def _open_bucket(scheme: str, name: str) -> Bucket:
    """The bucket `name` of the store that the scheme, without "://", stands for.

    Raises:
        UserError: there are no credentials, or the store's client is not installed.
    """
    # The client libraries are imported only where they are used: they take a second, and local runs need none.
    try:
        if scheme == "gs":
            from hopline.store.gcs import GoogleBucket  # noqa: PLC0415

            return GoogleBucket(name)
        from hopline.store.s3 import AmazonBucket  # noqa: PLC0415

        return AmazonBucket(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{scheme}:// needs the Python package {error.name}, which is not installed",
            remedy="install hopline with the extra of the step, such as hopline[train]",
        ) from error
