"""What a person may call a place: a local path, or the URI of an object store."""

import re
from pathlib import Path

from hopline.runtime.errors import UserError

SCHEMES = ("gs://", "s3://", "minio://")  # the last: Kubeflow's name for the S3 server that it brings


def is_remote(place: str | Path) -> bool:
    """Whether `place` is the URI of an object store rather than a local path."""
    return isinstance(place, str) and place.startswith(SCHEMES)


def parse_place(text: str) -> Path | str:
    """What a person calls a place: a local path, or the URI of an object store, here without a slash at its end.

    Raises:
        UserError: it is empty, or the URI of something else.
    """
    if is_remote(text):
        return text.rstrip("/")
    scheme = re.match("[a-z][a-z0-9+.-]*:/", text)
    if scheme or not text:
        raise UserError(
            f'"{text}" is neither a path nor the URI of an object store',
            remedy=f"give a local path, or a URI that begins with {' or '.join(SCHEMES)}",
        )
    return Path(text)
