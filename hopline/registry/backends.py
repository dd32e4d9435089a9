"""Where a registry keeps what it holds: a local folder, or a prefix in an object store.

Both keep small records (JSON) and models, and both let one of several writers win.  In a folder a lock makes them
wait for each other.  An object store has none: there a record is replaced only if it is still the one that was read,
and a promotion first claims the number that its version will have.
"""

import contextlib
import dataclasses
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from hopline import artifacts, schema
from hopline.artifacts import Manifest
from hopline.registry.card import CARD
from hopline.registry.records import HISTORY
from hopline.runtime import places
from hopline.runtime.errors import UserError
from hopline.schema import MODEL
from hopline.store import folders, trees
from hopline.store.bucket import ABSENT, ConflictError
from hopline.store.objects import Store

VERSIONS = "versions"
REMOVED = "removed"  # a record for each version that `prune` removed
_CLAIM = ".claim"  # the object that says whose a version is; a model's manifest does not name it


@dataclasses.dataclass(frozen=True)
class Record:
    """A record as it was read, and what the store calls this version of it."""

    content: bytes
    version: str


class Backend(Protocol):
    """A registry's place; names are relative to it."""

    def locate(self, name: str) -> str:
        """The path or URI of `name`."""

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """What a writer holds while it reads, decides and writes."""

    def read(self, name: str) -> Record | None:
        """The record, or None if there is none."""

    def read_all(self, names: list[str]) -> list[Record | None]:
        """`read` of each of `names`."""

    def write(self, name: str, value: dict[str, Any], *, over: Record | None) -> None:
        """Writes a record in the place of `over` (None: where there is none); raises ConflictError if it is not."""

    def write_text(self, name: str, text: str) -> None:
        """Writes what only people read, whatever is there."""

    def numbers(self, folder: str) -> list[int]:
        """Of the records `<folder>/<number>.json`; whatever else is there is left out."""

    def versions(self, *, whole: bool = True) -> list[int]:
        """The numbers of the versions whose models are there; or also of those of which only files are left."""

    def keep(self, model: Path, number: int, owner: str) -> int:
        """Copies the model to the version `number`, or a higher one if another owner has that; returns which."""

    def discard(self, version: int) -> None:
        """Removes a version; one that was half removed before as well."""

    def check(self, version: int) -> Manifest:
        """The version's manifest, when all of its files are as that says; raises UserError if they are not.

        In an object store the digests are compared that it keeps with the objects.
        """

    def check_content(self, version: int, step: str) -> Manifest:
        """`check`, with a digest made anew of every file; those in an object store are fetched for that."""

    def fetch(self, version: int, folder: Path, step: str) -> Path:
        """A local folder that holds the version: `folder`, if the version is not local already."""


class LocalBackend:
    """A folder, whose writers hold a lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def locate(self, name: str) -> str:
        return str(self._path / name)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        folders.writable_folder(self._path, "the registry")
        with folders.locked(self._path / ".lock"):
            for folder in (self._path, *(self._path / name for name in (HISTORY, VERSIONS))):
                folders.writable_folder(folder, "the registry")
                folders.remove_partial(folder)
            yield

    def read(self, name: str) -> Record | None:
        path = self._path / name
        return Record(path.read_bytes(), version="") if path.exists() else None

    def read_all(self, names: list[str]) -> list[Record | None]:
        return [self.read(name) for name in names]

    def write(self, name: str, value: dict[str, Any], *, over: Record | None) -> None:
        if over is None and (self._path / name).exists():
            raise ConflictError(f"{self._path / name} exists")
        (self._path / name).parent.mkdir(exist_ok=True)
        folders.write_json(self._path / name, value)  # no other process has written it since: this one holds the lock

    def write_text(self, name: str, text: str) -> None:
        folders.write_text(self._path / name, text)

    def numbers(self, folder: str) -> list[int]:
        return _numbers(path.name for path in (self._path / folder).glob("*.json"))

    def versions(self, *, whole: bool = True) -> list[int]:
        found = (self._path / VERSIONS).glob(f"*/{schema.MANIFEST}" if whole else "*/")
        names = (path.parent.name if whole else path.name for path in found)
        return sorted(int(name) for name in names if _NUMBER.fullmatch(name))

    def keep(self, model: Path, number: int, owner: str) -> int:
        folder = self._version(number)
        folders.place(model, folder)
        artifacts.verify(folder, MODEL)
        return number

    def discard(self, version: int) -> None:
        folders.remove_tree(self._version(version))

    def check(self, version: int) -> Manifest:
        return artifacts.verify(self._version(version), MODEL)

    def check_content(self, version: int, step: str) -> Manifest:
        return self.check(version)

    def fetch(self, version: int, folder: Path, step: str) -> Path:
        return self._version(version)

    def _version(self, number: int) -> Path:
        return self._path / VERSIONS / str(number)


class ObjectStoreBackend:
    """A prefix in an object store, whose writers compare and swap."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")
        self._store = Store(uri)

    def locate(self, name: str) -> str:
        return f"{self._uri}/{name}"

    def writing(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def read(self, name: str) -> Record | None:
        return _record(self._store.read(name))

    def read_all(self, names: list[str]) -> list[Record | None]:
        return [_record(found) for found in self._store.read_all(names)]

    def write(self, name: str, value: dict[str, Any], *, over: Record | None) -> None:
        self._store.write(name, folders.json_text(value).encode(), expected=over.version if over else ABSENT)

    def write_text(self, name: str, text: str) -> None:
        self._store.write(name, text.encode())

    def numbers(self, folder: str) -> list[int]:
        return _numbers(entry.name.removeprefix(f"{folder}/") for entry in self._store.entries(f"{folder}/"))

    def versions(self, *, whole: bool = True) -> list[int]:
        paths = [PurePosixPath(entry.name) for entry in self._store.entries(f"{VERSIONS}/") if entry.name[-1] != "/"]
        found = {path.parts[1] for path in paths if not whole or path.parts[2:] == (schema.MANIFEST,)}
        return sorted(int(name) for name in found if _NUMBER.fullmatch(name))

    def keep(self, model: Path, number: int, owner: str) -> int:
        while not self._claimed(number, owner):
            number += 1
        trees.send_tree(model, self._version(number), "promote")
        return number

    def _claimed(self, number: int, owner: str) -> bool:
        """Whether the number is `owner`'s: taken now, or before it was killed."""
        try:
            self._store.write(f"{VERSIONS}/{number}/{_CLAIM}", owner.encode(), expected=ABSENT)
        except ConflictError:
            return False
        return True

    def discard(self, version: int) -> None:
        names = [entry.name for entry in self._store.entries(f"{VERSIONS}/{version}/")]
        # Delete the manifest first (without it the version is no model), the claim last (only then is the number free).
        for name in sorted(names, key=lambda name: (name.endswith(f"/{_CLAIM}"), not name.endswith(schema.MANIFEST))):
            self._store.delete(name)

    def check(self, version: int) -> Manifest:
        self._require_readable(version)
        uri = self._version(version)
        return artifacts.parse_manifest(trees.check_tree(uri).decode(), uri, MODEL)

    def check_content(self, version: int, step: str) -> Manifest:
        with tempfile.TemporaryDirectory() as folder:
            return artifacts.verify(self.fetch(version, Path(folder, "version"), step), MODEL)

    def _require_readable(self, version: int) -> None:
        """Raises `UserError` if there is no such version, or a newer hopline made it: checked before files are read."""
        found = self._store.read(f"{VERSIONS}/{version}/{schema.MANIFEST}")
        artifacts.parse_manifest(found[0].decode(errors="replace") if found else "", self._version(version), MODEL)

    def fetch(self, version: int, folder: Path, step: str) -> Path:
        self._require_readable(version)
        trees.fetch_tree(self._version(version), folder, step)
        if card := self._store.read(f"{VERSIONS}/{version}/{CARD}"):  # which the manifest does not name
            (folder / CARD).write_bytes(card[0])
        return folder

    def _version(self, number: int) -> str:
        return f"{self._uri}/{VERSIONS}/{number}"


def open_backend(place: str | Path) -> Backend:
    """The backend at a local path or the URI of an object store.

    Raises:
        UserError: `place` is text that is neither.
    """
    found = places.parse_place(place) if isinstance(place, str) else place
    return LocalBackend(found) if isinstance(found, Path) else ObjectStoreBackend(found)


def read_text(backend: Backend, version: int, name: str) -> tuple[Manifest, str]:
    """The manifest of `version`, and the text of its file `name`.

    Raises:
        UserError: the version or the file is missing, or the file has not the SHA-256 that the manifest gives.
    """
    folder = f"{VERSIONS}/{version}"
    where = backend.locate(folder)
    manifest, file = backend.read_all([f"{folder}/{schema.MANIFEST}", f"{folder}/{name}"])
    parsed = artifacts.parse_manifest(manifest.content.decode(errors="replace") if manifest else "", where, MODEL)
    if name not in parsed.files:
        raise UserError(f"{where} has no {name}: an older hopline made it", remedy="promote a new model first")
    if file is None or hashlib.sha256(file.content).hexdigest() != parsed.files[name]:
        state = "differs from its recorded SHA-256" if file else "is missing"
        raise UserError(
            f"{where}/{name} {state}", remedy="restore it from a copy, or go back: `hopline models rollback`"
        )
    return parsed, file.content.decode()


_NUMBER = re.compile("[1-9][0-9]*")


def _numbers(names: Iterable[str]) -> list[int]:
    """Of the names that are `<number>.json`; a store's console makes placeholders, and people leave files."""
    found = (re.fullmatch(rf"({_NUMBER.pattern})\.json", name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def _record(found: tuple[bytes, str] | None) -> Record | None:
    return Record(*found) if found else None
