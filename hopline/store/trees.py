"""Copies between local folders and object stores, gs:// and s3://.

Steps read and write local folders; what lies in a bucket is fetched before and sent after.  A tree is a folder with a
`manifest.json` (`hopline.artifacts`).  The manifest is sent last and fetched first, so a tree without it is not there,
and every file must have the SHA-256 that the manifest gives.  What a broken copy has already brought over is not
copied again.
"""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from hopline.runtime.errors import UserError
from hopline.runtime.progress import Progress
from hopline.schema import MANIFEST
from hopline.store import folders
from hopline.store.bucket import THREADS, Entry
from hopline.store.objects import Store

T = TypeVar("T")


def send_tree(folder: Path, uri: str, step: str, *, quiet: bool = False) -> None:
    """Copies the sealed folder `folder` to `uri`; files that are there already, by SHA-256, are not sent again.

    Objects of an older tree at `uri` that the new manifest does not name stay, unread.

    Args:
        folder: with its manifest.
        uri: where the manifest's object will have the name `<uri>/manifest.json`.
        step: the step whose progress is shown.
        quiet: shows no progress; for a copy in the background.

    Raises:
        UserError: a file is missing or differs from the manifest; or as every method of `Store` does.
        InternalError: as every method of `Store` does.
    """
    store = Store(uri)
    manifest = (folder / MANIFEST).read_bytes()
    files = _files(manifest, str(folder))
    present = store.read(MANIFEST)
    if present and present[0] != manifest:
        store.delete(MANIFEST)  # from here on the old tree is not there
    there = {entry.name for entry in store.entries()}
    total = sum((folder / name).stat().st_size for name in files if (folder / name).is_file())
    meter = _Meter(step, "sending", total, quiet=quiet)

    def send(name: str) -> None:
        path = folder / name
        if not path.is_file() or folders.file_digest(path) != files[name]:
            state = "differs from its recorded SHA-256" if path.is_file() else "is missing"
            raise UserError(f"{path} {state}: it is not sent", remedy="run the step that makes it again")
        found = store.stat(name) if name in there else None
        if found is None or found.sha256 != files[name]:
            store.upload_file(path, name, sha256=files[name], report=lambda done: meter.at(name, done))
        meter.at(name, path.stat().st_size)

    _in_parallel(store, send, files)
    store.write(MANIFEST, manifest)


def fetch_tree(uri: str, folder: Path, step: str) -> None:
    """Copies the tree at `uri` to `folder`, which is there whole or not at all; an existing folder is replaced.

    What a killed process has fetched lies beside `folder` under a temporary name and is not fetched again.

    Args:
        uri: of the tree.
        folder: nothing is done if it is that tree already.
        step: the step whose progress is shown.

    Raises:
        UserError: there is no tree at `uri`; or as every method of `Store` does.
        InternalError: it was replaced meanwhile, or is damaged; or as every method of `Store` does.
    """
    store = Store(uri)
    manifest, files = _manifest(store)
    if _holds(folder, manifest, files):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    begun = folder.with_name(f".{folder.name}.{hashlib.sha256(manifest).hexdigest()[:12]}.fetching")
    for other in folder.parent.glob(f".{folder.name}.*.fetching"):
        if other != begun:  # of a tree that was there before
            shutil.rmtree(other)
    sizes = {entry.name: entry.size for entry in store.entries()}
    meter = _Meter(step, "fetching", sum(sizes.get(name, 0) for name in files))

    def fetch(name: str) -> None:
        path = begun / name
        if not (path.is_file() and folders.file_digest(path) == files[name]):
            path.parent.mkdir(parents=True, exist_ok=True)
            store.download_file(name, path, sha256=files[name], report=lambda done: meter.at(name, done))
        meter.at(name, path.stat().st_size)

    begun.mkdir(exist_ok=True)
    _in_parallel(store, fetch, files)
    (begun / MANIFEST).write_bytes(manifest)
    folders.settle(begun, folder)


def fetch_objects(uri: str, files: Sequence[tuple[Entry, Path]], step: str) -> None:
    """Copies the objects below `uri`, in the versions that were listed, to files; one that exists is left as it is.

    Raises:
        UserError: an object does not exist; or as every method of `Store` does.
        InternalError: one was replaced since it was listed, or is damaged; or as every method of `Store` does.
    """
    store = Store(uri)
    meter = _Meter(step, "fetching", sum(entry.size for entry, _ in files))

    def fetch(wanted: tuple[Entry, Path]) -> None:
        entry, path = wanted
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            store.download_file(entry.name, path, version=entry.version, report=lambda done: meter.at(entry.name, done))
        meter.at(entry.name, entry.size)

    _in_parallel(store, fetch, files)


def check_tree(uri: str) -> bytes:
    """Checks, by size and recorded SHA-256 and without fetching them, that all files of the tree are at `uri`.

    Returns:
        The manifest.

    Raises:
        UserError: there is no tree, or a file of it is missing or another.
        InternalError: as every method of `Store` does.
    """
    store = Store(uri)
    manifest, files = _manifest(store)

    def check(name: str) -> None:
        found = store.stat(name)
        if found is None or found.sha256 != files[name]:
            state = "differs from its recorded SHA-256" if found else "is missing"
            raise UserError(f"{uri}/{name} {state}", remedy="restore it from a copy")

    _in_parallel(store, check, files)
    return manifest


def _manifest(store: Store) -> tuple[bytes, dict[str, str]]:
    found = store.read(MANIFEST)
    if found is None:
        raise UserError(
            f"{store.uri} holds no whole artifact: {MANIFEST} is missing", remedy="run the step that makes it again"
        )
    return found[0], _files(found[0], store.uri)


def _files(manifest: bytes, place: str) -> dict[str, str]:
    """The files that the manifest names, and their SHA-256."""
    try:
        files: dict[str, Any] = json.loads(manifest)["files"]
        paths = [PurePosixPath(name) for name in files]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{MANIFEST} in {place} is damaged: {error}", remedy="run the step that makes it again"
        ) from error
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            raise UserError(
                f'{MANIFEST} in {place} names "{path}", which is outside of it', remedy="do not use what lies there"
            )
    return files


def _holds(folder: Path, manifest: bytes, files: dict[str, str]) -> bool:
    here = folder / MANIFEST
    return (
        here.is_file()
        and here.read_bytes() == manifest
        and all((folder / name).is_file() and folders.file_digest(folder / name) == files[name] for name in files)
    )


def _in_parallel(store: Store, call: Callable[[T], None], items: Iterable[T]) -> None:
    """Calls `call` for each of `items` in several threads; the first error, or Ctrl-C, ends them all."""
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            for done in as_completed([pool.submit(call, item) for item in items]):
                done.result()
        except BaseException:
            store.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Meter:
    """Progress in bytes over several files at once."""

    def __init__(self, step: str, phase: str, total: int, *, quiet: bool = False) -> None:
        self._progress = Progress(step, total, "bytes", phase=phase, quiet=quiet)
        self._at: dict[str, int] = {}
        self._lock = threading.Lock()

    def at(self, name: str, done: int) -> None:
        """Sets how much of the file `name` is done."""
        with self._lock:
            total = self._progress.done + done - self._at.get(name, 0)
            self._at[name] = done
            self._progress.update(total)
