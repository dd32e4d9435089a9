"""Amazon S3, and servers with its API.

Credentials and endpoint come from the environment by the client's own rules: AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY, a profile, or the role of the pod; AWS_ENDPOINT_URL_S3 for another server.  That server must
honour If-None-Match and If-Match when an object is put, or promotions could overwrite each other.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3.session
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import S3Transfer, TransferConfig
from botocore import exceptions as core
from botocore.config import Config

from hopline.runtime.errors import UserError
from hopline.store.bucket import (
    ABSENT,
    CHUNK_BYTES,
    THREADS,
    TIMEOUT_SECONDS,
    ConflictError,
    Entry,
    UnavailableError,
    media_type,
)

_PARTS = TransferConfig(multipart_threshold=CHUNK_BYTES, multipart_chunksize=CHUNK_BYTES, max_concurrency=THREADS)
# 409 is the answer to one of two conditional writes at the same moment.
_PASSING = {408, 409, 429, 500, 502, 503, 504}
_CREDENTIALS = (core.NoCredentialsError, core.PartialCredentialsError, core.ProfileNotFound, core.TokenRetrievalError)


class AmazonBucket:
    """A bucket of S3; a version is an ETag."""

    def __init__(self, name: str) -> None:
        self._name = name
        connect, read = TIMEOUT_SECONDS
        config = Config(
            connect_timeout=connect,
            read_timeout=read,
            max_pool_connections=3 * THREADS,  # files, and chunks of files either way
            # The caller tries again; the few attempts here are for single parts of a large file.
            retries={"mode": "standard", "total_max_attempts": 3},
        )
        try:
            self._client = boto3.session.Session().client("s3", config=config)
        except (core.BotoCoreError, ValueError) as error:  # a profile that does not exist, an endpoint without scheme
            raise UserError(
                f"s3://{name} cannot be used: {error}", remedy="mend the AWS_ variables or the profile"
            ) from error
        self._transfer = S3Transfer(self._client, _PARTS)  # one for all files: the parts of all share its threads

    def entries(self, prefix: str) -> list[Entry]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
        found = [item for page in pages for item in page.get("Contents", [])]
        return [Entry(item["Key"], item["Size"], item["ETag"]) for item in found]

    def stat(self, name: str) -> Entry | None:
        try:
            head = self._client.head_object(Bucket=self._name, Key=name)
        except core.ClientError as error:
            if _status(error) == 404:
                return None
            raise
        return Entry(name, head["ContentLength"], head["ETag"], head["Metadata"].get("sha256", ""))

    def read(self, name: str) -> tuple[bytes, str] | None:
        try:
            answer = self._client.get_object(Bucket=self._name, Key=name)
        except self._client.exceptions.NoSuchKey:
            return None
        return answer["Body"].read(), answer["ETag"]

    def read_range(self, name: str, start: int, length: int, version: str) -> bytes:
        answer = self._client.get_object(
            Bucket=self._name, Key=name, Range=f"bytes={start}-{start + length - 1}", IfMatch=version
        )
        content: bytes = answer["Body"].read()
        return content

    def write(self, name: str, data: bytes, expected: str | None) -> str:
        condition: dict[str, Any] = {}
        if expected is not None:
            condition = {"IfNoneMatch": "*"} if expected == ABSENT else {"IfMatch": expected}
        kind = media_type(name)
        written = self._client.put_object(Bucket=self._name, Key=name, Body=data, ContentType=kind, **condition)
        return str(written["ETag"])

    def upload(self, path: Path, name: str, sha256: str, report: Callable[[int], None]) -> None:
        taken, lock = 0, threading.Lock()

        def advance(count: int) -> None:
            nonlocal taken
            with lock:
                taken += count
                report(taken)

        metadata = {"Metadata": {"sha256": sha256}}
        self._transfer.upload_file(str(path), self._name, name, callback=advance, extra_args=metadata)

    def delete(self, name: str) -> None:
        self._client.delete_object(Bucket=self._name, Key=name)

    def fault(self, error: Exception) -> Exception:
        if isinstance(error, S3UploadFailedError) and isinstance(error.__context__, Exception):
            error = error.__context__  # the client puts only the text of the real error into this one
        if isinstance(error, core.ClientError):
            return self._refusal(error)
        if isinstance(error, _CREDENTIALS):
            return UserError(
                f"s3://{self._name} cannot be used: {error}",
                remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is",
            )
        if isinstance(error, core.ConnectionError | core.HTTPClientError | core.IncompleteReadError):
            return UnavailableError(str(error))
        return error

    def _refusal(self, error: core.ClientError) -> Exception:
        """What an answer with an error code means."""
        status, message = _status(error), error.response["Error"].get("Message", str(error))
        if error.response["Error"].get("Code") == "NoSuchUpload":  # the server forgot the parts it had
            return UnavailableError(message)
        if status == 412 or error.response["Error"].get("Code") == "NoSuchKey":  # a version was asked for; it is gone
            return ConflictError(message)
        if status == 404:
            return UserError(f"the bucket s3://{self._name} does not exist", remedy="create it, or name another")
        if status in {401, 403}:
            return UserError(
                f"s3://{self._name} refuses these credentials: {message}",
                remedy="allow them s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject on the bucket",
            )
        return UnavailableError(message) if status in _PASSING else error


def _status(error: core.ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
