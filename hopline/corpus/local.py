"""Corpora on this machine: which files a path or a glob names, each real file once.

What cannot be read is refused by name and never passed over.
"""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from hopline.config.section import require
from hopline.corpus.objects import fits_part
from hopline.schema import OUTPUT_CACHE, OUTPUT_LOCK, OUTPUT_RUNS
from hopline.store.sources import unreadable


def matches(key: str, pattern: str) -> tuple[Path, list[Path]]:
    """The corpus root and the files that `pattern` names, sorted; a path that exists is never taken for a glob.

    As in a shell, names that begin with a dot count only where the pattern spells the dot; ** is any number of folders.
    Links are followed.  A file that has several names here counts once, by the name that is no link or by the first.
    An output folder of hopline, which may lie inside the corpus, is no part of it.

    Args:
        key: the configuration's key, for messages.
        pattern: a path of a file or folder, or a glob.

    Raises:
        UserError: it names no file, or one that cannot be read; a link leads to nothing.
    """
    path = Path(pattern)
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        found = _files(path, ("**",))
        require(bool(found), f"{key} names {path}, a folder without files", f"put text there, or change {key}")
        return path, found
    require(
        not path.is_symlink() and glob.has_magic(pattern),
        f"{key} names {path}, which does not exist or is neither file nor folder",
        f"correct {key}; a relative path starts at the folder in which hopline was started",
    )
    root, parts = divide(path)
    found = _files(root, parts) if root.is_dir() else []
    require(bool(found), f"{key} is {pattern}, which matches no file", f"correct the pattern in {key}")
    return root, found


def divide(pattern: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder before a glob's first wildcard, and the parts from there on; `[[]` there is a bracket of a name."""
    fixed: list[str] = []
    for part in pattern.parts:
        literal = part.replace("[[]", "[").replace("[*]", "*").replace("[?]", "?")
        if glob.escape(literal) != part:
            break
        fixed.append(literal)
    return Path(*fixed), pattern.parts[len(fixed) :]


def _files(root: Path, parts: tuple[str, ...]) -> list[Path]:
    """Each real file below `root` that fits, by one of its names, sorted."""
    names: dict[str, Path] = {}
    try:
        for path in sorted(_expand(root, parts, set()), key=lambda path: (path.is_symlink(), path)):
            names.setdefault(os.path.realpath(path), path)
    except OSError as error:
        raise unreadable(Path(error.filename), error) from error
    return sorted(names.values())


def _expand(folder: Path, parts: tuple[str, ...], seen: set[tuple[str, int]]) -> Iterator[Path]:
    """The files below the folder that fit the parts of a pattern; a folder is looked at once for each of its parts."""
    state = (os.path.realpath(folder), len(parts))  # links may form a ring
    if state in seen:
        return
    seen.add(state)
    part, rest = parts[0], parts[1:]
    if part == "**" and rest:
        yield from _expand(folder, rest, seen)
    for path in sorted(folder.iterdir()):
        if not fits_part("*" if part == "**" else part, path.name):
            continue
        if path.is_dir():
            below = parts if part == "**" else rest
            if below and not _is_output(path):
                yield from _expand(path, below, seen)
        elif not (part == "**" and rest):
            require(
                path.exists(),
                f"{path} is a link that leads to nothing",
                "bring the file that it names, remove the link, or narrow the pattern",
            )
            if not rest and path.is_file():
                yield path


def _is_output(folder: Path) -> bool:
    return (folder / OUTPUT_LOCK).is_file() and (folder / OUTPUT_CACHE).is_dir() and (folder / OUTPUT_RUNS).is_dir()
