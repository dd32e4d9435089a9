"""Local files and folders, written whole or not at all.

Nothing else of hopline renames, links, locks or flushes.  What lies in an object store is copied from and to local
folders by `hopline.store.trees`.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hopline.runtime.errors import InternalError, UserError


@contextlib.contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Yields a temporary directory beside `target` and renames it to `target` if the block succeeds.

    An existing `target` is replaced.  Whatever happens, `target` is never seen half-written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    temporary.mkdir()
    try:
        yield temporary
        settle(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def settle(source: Path, target: Path) -> None:
    """Flushes the directory `source` to disk and renames it to `target`, whose old content is removed."""
    _sync_tree(source)
    remove_tree(target)
    source.rename(target)
    _sync(target.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes readable JSON to `path`, whole or not at all."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """`value` as readable JSON; NaN and infinities are refused."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def place(source: Path, target: Path) -> None:
    """Puts a copy of the sealed directory `source` at `target`, whole or not at all; links where it can.

    Hard links cost nothing and are safe because a sealed file is never written again.
    """
    with whole(target) as temporary:
        for path in sorted(source.rglob("*")):
            copy = temporary / path.relative_to(source)
            if path.is_dir():
                copy.mkdir(parents=True, exist_ok=True)
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            link(path, copy)


def link(source: Path, target: Path) -> None:
    """Gives the file `source` a second name, or copies it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`; the kernel releases it when the process ends, however that ends.

    The file holds the process id of its latest holder, for people.

    Raises:
        BlockingIOError: another process holds it and `wait` is false.
    """
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield


def remove_tree(path: Path) -> None:
    """Removes the directory `path`, which others never see half-removed.  Its absence is no error."""
    if not path.exists():
        return
    doomed = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    path.rename(doomed)
    shutil.rmtree(doomed)


def remove_partial(folder: Path) -> None:
    """Removes what killed processes left under temporary names in `folder`."""
    for path in folder.glob(".*.partial"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def writable_folder(path: Path, name: str) -> Path:
    """Makes the folder `path` and proves that files can be written in it.

    Raises:
        UserError: it cannot be made or written; `name` is what the user calls it.
    """
    probe = path / f".{uuid.uuid4().hex}.partial"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)  # another process may be removing what killed ones left
    except OSError as error:
        raise UserError(
            f"{name} {path} cannot be written: {error.strerror}", remedy=f"choose another folder for {name}"
        ) from error
    return path


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The file's SHA-256, or other digest, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(directory: Path) -> None:
    for path in directory.rglob("*"):
        try:
            _sync(path)
        except OSError as error:
            raise InternalError(f"cannot flush {path} to disk: {error}", remedy="check the disk's space") from error
