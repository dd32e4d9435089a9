"""Whether a registry can be read and written with the credentials that are here."""

import contextlib
import uuid
from pathlib import Path

from hopline.registry.registry import Registry
from hopline.runtime import places
from hopline.store.bucket import ABSENT, ConflictError
from hopline.store.folders import writable_folder
from hopline.store.objects import Store
from pipelines.doctor.check import Answer, Check, missing, ok


def checks(place: str) -> list[Check]:
    """For the registry at `place`, a folder or the URI of an object store."""
    return [Check("registry: read", lambda: readable(place)), Check("registry: write", lambda: writable(place))]


def readable(place: str) -> Answer:
    """Whether the champion can be read."""
    champion = Registry(place).champion()
    return ok(f"version {champion.version} is champion" if champion else "no champion yet")


def writable(place: str) -> Answer:
    """Whether promotions can be written, and whether of two at once the store refuses one."""
    if not places.is_remote(place):
        writable_folder(Path(place), "the registry")
        return ok("a folder that can be written")
    store, name = Store(place), f".doctor-{uuid.uuid4().hex}"
    try:
        first = store.write(name, b"first", expected=ABSENT)
        store.write(name, b"second", expected=first)
        if all(_refuses(store, name, stale) for stale in (ABSENT, first)):
            return ok("a writer who comes second is refused")
        return missing(
            f"{place} does not honour the conditions of a write",
            "use a store that does: promotions overwrite each other",
        )
    finally:
        with contextlib.suppress(Exception):  # what is wrong with the store is said already
            store.delete(name)


def _refuses(store: Store, name: str, expected: str) -> bool:
    try:
        store.write(name, b"third", expected=expected)
    except ConflictError:
        return True
    return False
