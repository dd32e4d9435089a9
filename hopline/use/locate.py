"""Which folder a model is in: the champion's or a version's, of an output or a registry, here or in an object store."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from hopline import artifacts
from hopline.artifacts import Manifest
from hopline.registry.records import POINTER
from hopline.registry.registry import Registry
from hopline.runtime.errors import UserError
from hopline.runtime.places import parse_place
from hopline.schema import MANIFEST, MODEL
from hopline.store.folders import locked, writable_folder

REGISTRY = "registry"  # its name in an output


@dataclass(frozen=True)
class Located:
    """A model's folder on this machine.

    Attributes:
        folder: the folder.
        manifest: its manifest.
        version: its number in the registry; None for a model folder.
        place: the path or URI it was found at, for messages.
    """

    folder: Path
    manifest: Manifest
    version: int | None
    place: str


def locate(place: str | Path, version: int | None = None) -> Located:
    """The model at `place`, see `hopline.load`.

    Raises:
        UserError: there is none.
    """
    found = parse_place(place) if isinstance(place, str) else place
    if isinstance(found, Path) and (found / MANIFEST).is_file():
        if version is not None:
            raise UserError(f"{found} is one model, and has no version {version}", remedy="leave the version out")
        return Located(found, artifacts.read_manifest(found, MODEL), None, str(found))
    registry = _registry(found)
    chosen = _champion(registry) if version is None else _existing(registry, version)
    here = isinstance(registry.path, Path)
    folder = registry.fetch(chosen, Path(), "fetch") if here else _copy(registry, chosen)
    return Located(folder, artifacts.read_manifest(folder, MODEL), chosen, registry.location(chosen))


def _registry(place: Path | str) -> Registry:
    if isinstance(place, str):
        inner = Registry(f"{place}/{REGISTRY}")
        return inner if inner.champion() else Registry(place)
    if not place.is_dir():
        raise UserError(f"{place} does not exist", remedy="run `hopline run` first, or name the output it was given")
    inside = place / REGISTRY
    return Registry(inside if inside.is_dir() or not (place / POINTER).exists() else place)


def _champion(registry: Registry) -> int:
    champion = registry.champion()
    if champion is None:
        raise UserError(
            f"there is no champion in {registry.path}",
            remedy="run `hopline run` until a model is promoted, or name another --output or --registry",
        )
    return champion.version


def _existing(registry: Registry, version: int) -> int:
    entries, _ = registry.entries()  # one that is damaged hides no other version
    versions = sorted({entry.version for entry in entries})
    if version not in versions:
        known = f"its versions are {', '.join(map(str, versions))}" if versions else "it has none"
        raise UserError(f"{registry.path} has no version {version}: {known}", remedy="name one of its versions")
    return version


def _copy(registry: Registry, version: int) -> Path:
    """The version's copy in the user's cache, whole; made, or renewed, if the object store has another."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(registry.location(version).encode()).hexdigest()[:16]
    folder = writable_folder(caches / "hopline" / "models", "the folder for copies of models") / name
    with locked(folder.with_name(f"{name}.lock")):
        return registry.fetch(version, folder, "fetch")
