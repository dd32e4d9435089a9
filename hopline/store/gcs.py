"""Google Cloud Storage.

Credentials and endpoint come from the environment, as everywhere on Google Cloud: the service account of the pod,
GOOGLE_APPLICATION_CREDENTIALS, or STORAGE_EMULATOR_HOST for a server without any.
"""

import base64
import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import urllib3
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY

from hopline.runtime.errors import UserError
from hopline.store.bucket import CHUNK_BYTES, TIMEOUT_SECONDS, ConflictError, Entry, UnavailableError, media_type

_PASSING = {408, 429, 500, 502, 503, 504}  # HTTP codes that another attempt may not meet
# A session of several requests survives a short failure; all else is tried again by the caller.
_WITHIN_UPLOAD = DEFAULT_RETRY.with_timeout(15)
_BROKEN = (
    requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, ConnectionError,
    auth.TransportError, DataCorruption,
    urllib3.exceptions.ProtocolError, urllib3.exceptions.ReadTimeoutError,  # a raw download reads past requests
)  # fmt: skip


class GoogleBucket:
    """A bucket of Google Cloud Storage; a version is a generation."""

    def __init__(self, name: str) -> None:
        self._name = name
        try:
            self._bucket = storage.Client().bucket(name)
        except (auth.DefaultCredentialsError, OSError) as error:  # OSError: no project is known
            raise UserError(
                f"gs://{name} cannot be used: {error}",
                remedy="set GOOGLE_APPLICATION_CREDENTIALS, or run where a service account is",
            ) from error

    def entries(self, prefix: str) -> list[Entry]:
        blobs = self._bucket.client.list_blobs(self._bucket, prefix=prefix, retry=None, timeout=TIMEOUT_SECONDS)
        return sorted((_entry(blob) for blob in blobs), key=lambda entry: entry.name)

    def stat(self, name: str) -> Entry | None:
        blob = self._bucket.get_blob(name, retry=None, timeout=TIMEOUT_SECONDS)
        return _entry(blob) if blob else None

    def read(self, name: str) -> tuple[bytes, str] | None:
        found = self.stat(name)
        if found is None:
            return None
        try:
            return self._download(name, version=found.version), found.version
        except (api.NotFound, api.PreconditionFailed) as error:  # replaced in between
            raise UnavailableError(f"{name} was replaced while it was read") from error

    def read_range(self, name: str, start: int, length: int, version: str) -> bytes:
        try:
            return self._download(name, version, start=start, end=start + length - 1)
        except api.NotFound as error:
            raise ConflictError(str(error)) from error

    def write(self, name: str, data: bytes, expected: str | None) -> str:
        blob = self._bucket.blob(name)
        condition = None if expected is None else int(expected or 0)
        blob.upload_from_string(
            data, media_type(name), if_generation_match=condition, retry=None, timeout=TIMEOUT_SECONDS
        )
        return str(blob.generation)

    def upload(self, path: Path, name: str, sha256: str, report: Callable[[int], None]) -> None:
        blob = self._bucket.blob(name, chunk_size=CHUNK_BYTES)
        blob.metadata = {"sha256": sha256}
        with _Watched(path, report) as stream:
            try:
                blob.upload_from_file(
                    stream, size=path.stat().st_size, checksum="crc32c", retry=_WITHIN_UPLOAD, timeout=TIMEOUT_SECONDS
                )
            except api.NotFound as error:
                self.entries(name)  # raises if it is the bucket that is missing, and not the upload's session
                raise UnavailableError(f"the upload session of {name} was lost") from error

    def delete(self, name: str) -> None:
        with contextlib.suppress(api.NotFound):
            self._bucket.blob(name).delete(retry=None, timeout=TIMEOUT_SECONDS)

    def fault(self, error: Exception) -> Exception:
        passing = isinstance(error, _BROKEN) or (isinstance(error, api.GoogleAPICallError) and error.code in _PASSING)
        if passing or getattr(error, "retryable", False):  # the last: errors of google.auth
            return UnavailableError(str(error))
        match error:
            case api.PreconditionFailed():
                return ConflictError(str(error))
            case api.NotFound():
                return UserError(f"the bucket gs://{self._name} does not exist", remedy="create it, or name another")
            case api.Forbidden() | api.Unauthorized():
                return UserError(
                    f"gs://{self._name} refuses these credentials: {error.message}",
                    remedy="give the service account the role Storage Object Admin on the bucket",
                )
            case auth.GoogleAuthError():
                return UserError(f"the credentials for gs://{self._name} do not work: {error}", remedy="renew them")
        return error

    def _download(self, name: str, version: str, **span: Any) -> bytes:
        content: bytes = self._bucket.blob(name).download_as_bytes(
            raw_download=True, if_generation_match=int(version), retry=None, timeout=TIMEOUT_SECONDS, **span
        )
        return content


class _Watched(io.FileIO):
    """A file that tells how far it was read."""

    def __init__(self, path: Path, report: Callable[[int], None]) -> None:
        super().__init__(path)
        self._report = report

    def read(self, size: int | None = -1, /) -> Any:
        data = super().read(-1 if size is None else size)
        self._report(self.tell())
        return data


def _entry(blob: storage.Blob) -> Entry:
    md5 = base64.b64decode(blob.md5_hash or "").hex()  # a composite object has none
    return Entry(blob.name, blob.size, str(blob.generation), (blob.metadata or {}).get("sha256", ""), md5)
