"""What tells that a file has been written to or replaced since it was looked at."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hopline.config.section import require
from hopline.store.sources import unreadable

Stamp = list[int]


def stamp(path: Path) -> Stamp:
    """Size, times of modification and change, and inode: any write, truncation or replacement changes one of them.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


class Stamps:
    """The stamps of files at one moment."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Takes them now.

        Raises:
            UserError: a file cannot be read.
        """
        self.all: dict[str, Stamp] = {}  # by path
        self.add(paths)

    def add(self, paths: Iterable[Path]) -> None:
        """Takes those of further files.

        Raises:
            UserError: a file cannot be read.
        """
        self.all |= {os.fspath(path): stamp(path) for path in paths}

    def hold(self, others: Mapping[str, Any]) -> bool:
        """Whether these are the same, by path, as far as the others go."""
        return all(self.all.get(path) == found for path, found in others.items())

    def require_unchanged(self) -> None:
        """The files are what they were.

        Raises:
            UserError: one is not; the message names it.
        """
        for path, before in self.all.items():
            now = stamp(Path(path))
            require(
                now == before,
                f"{path} has changed while it was read: it had {before[0]:,} bytes and has {now[0]:,}",
                "run again when nothing writes to the corpus any more",
            )
