"""Corpora in object stores: which objects a pattern names, and copies of them on this machine.

Nothing is downloaded to find out what a corpus is: a store's listing has of each object a name, a size, and something
that tells contents apart (`Entry.content`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from hopline.config.section import require
from hopline.store import trees
from hopline.store.bucket import Entry
from hopline.store.objects import Store

_NAME_BYTES = 200  # of one part of a file's name; file systems allow 255, and a copy in progress has a longer name


@dataclass(frozen=True)
class Origin:
    """Where a file of the corpus comes from.

    Attributes:
        bucket: URI of the bucket.
        entry: the object, by its whole name.
    """

    bucket: str
    entry: Entry


def matches(key: str, pattern: str) -> tuple[str, list[Origin]]:
    """The corpus root, as the beginning of object names, and the objects that `pattern` names.

    Of what a pattern may be, the first that exists: 1. an object; 2. a "folder", of which all objects are taken; 3. a
    glob, in which * and ? stop at slashes and ** does not.  As in a local folder, names that begin with a dot count
    only where the pattern spells the dot.

    Args:
        key: the configuration's key, for messages.
        pattern: URI of an object, a folder or a glob.

    Raises:
        UserError: it names nothing, or objects that cannot be files; or as every method of `Store` does.
    """
    scheme, _, rest = pattern.partition("://")
    name, _, path = rest.partition("/")
    bucket = f"{scheme}://{name}"
    store = Store(bucket)
    if path and not path.endswith("/") and (found := store.stat(path)):
        return _parent(path), [Origin(bucket, found)]
    root = f"{path.rstrip('/')}/" if path else ""
    entries = _fitting(store.entries(root), root, "**")
    if not entries and (magic := re.search(r"[*?\[]", path)):
        fixed = path[: magic.start()]
        root = _parent(fixed)
        entries = _fitting(store.entries(fixed), root, path.removeprefix(root))
    require(bool(entries), f"{key} is {pattern}, which names no object", f"correct {key}, or put text there")
    _require_paths(bucket, entries)
    return root, [Origin(bucket, entry) for entry in entries]


def local_path(folder: Path, origin: Origin) -> Path:
    """Where below `folder` the copy of the object lies."""
    return folder / origin.bucket.replace("://", "/") / origin.entry.name


def fetch(files: Sequence[tuple[Origin, Path]], step: str) -> None:
    """Copies the objects to files; what a killed process has brought over is not copied again.

    A file that is there is taken for the copy, so the folder must be of these very objects and no others.

    Raises:
        InternalError: one was replaced since it was listed, or is damaged; or as every method of `Store` does.
        UserError: one was removed since; or as every method of `Store` does.
    """
    for bucket in sorted({origin.bucket for origin, _ in files}):
        wanted = [(origin.entry, path) for origin, path in files if origin.bucket == bucket]
        trees.fetch_objects(bucket, wanted, step)


def _fitting(entries: Sequence[Entry], root: str, pattern: str) -> list[Entry]:
    """The objects whose names below `root` fit the pattern; "a/", which stands for a folder, is none."""
    named = [(entry, entry.name.removeprefix(root)) for entry in entries if not entry.name.endswith("/")]
    return [entry for entry, name in named if _fits(pattern.split("/"), name.split("/"))]


def _fits(pattern: Sequence[str], name: Sequence[str]) -> bool:
    """Whether the parts of a name are what the parts of a pattern allow."""
    if not pattern or not name:
        return not name and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _fits(pattern[1:], name) or (not name[0].startswith(".") and _fits(pattern, name[1:]))
    return fits_part(pattern[0], name[0]) and _fits(pattern[1:], name[1:])


def fits_part(pattern: str, name: str) -> bool:
    """Whether a name without slashes fits; one that begins with a dot does where the pattern spells the dot."""
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))


def _parent(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _require_paths(bucket: str, entries: Sequence[Entry]) -> None:
    """The objects can all be files at once.

    Raises:
        UserError: one has a name that no path can have, or is another's folder.
    """
    names = {entry.name for entry in entries}
    for name in sorted(names):
        parts = name.split("/")
        require(
            all(part not in {"", ".", ".."} and len(part.encode()) <= _NAME_BYTES for part in parts),
            f"{bucket}/{name} cannot be a file: a part of its name is empty, dots alone, or too long",
            "rename the object, or narrow the pattern",
        )
        for end in range(1, len(parts)):
            require(
                "/".join(parts[:end]) not in names,
                f"{bucket}/{'/'.join(parts[:end])} cannot be a file, for it is also the folder of {name}",
                "rename one of the two objects, or narrow the pattern",
            )
