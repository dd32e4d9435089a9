"""Which items of a sequence come twice, in memory that does not grow with the sequence.

The last items are held as they are; of those before, a temporary file has the hashes (16 bytes an item), in sorted runs
which are merged at the end.  So an item that comes again soon is found at once, and one that comes again late at the
end.
"""

import array
import contextlib
import heapq
import os
import tempfile
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import BinaryIO

from hopline.runtime.errors import InternalError

HELD = 1 << 18  # items in memory; some 50 MB
_BLOCK_BYTES = 1 << 14  # of each run, while they are merged


class Repeats(contextlib.AbstractContextManager["Repeats"]):
    """The items so far, each with its place in the sequence; the places grow."""

    def __init__(self, held: int = HELD) -> None:
        """Holds at most `held` items in memory."""
        self._most = held
        self._held: dict[bytes, int] = {}
        self._file: BinaryIO | None = None
        self._runs: list[tuple[int, int]] = []  # first byte and the one after the last, in the file

    def add(self, item: bytes, place: int) -> int | None:
        """Notes the item; where it was before, if that is still held, else None."""
        before = self._held.setdefault(item, place)
        if before != place:
            return before
        if len(self._held) >= self._most:
            self._spill()
        return None

    def likely(self, most: int = 100) -> list[tuple[int, int]]:
        """Places of two items each, all of which were added, whose hashes are the same: almost surely one item.

        Of the many that there may be, the `most` whose second place is first, in order.
        """
        if not self._runs:
            return []
        self._spill()
        merged = heapq.merge(*(self._run(*bounds) for bounds in self._runs))
        same = ((first[1], second[1]) for first, second in pairwise(merged) if first[0] == second[0])
        return heapq.nsmallest(most, same, key=lambda places: places[1])

    def __exit__(self, *error: object) -> None:
        if self._file:
            self._file.close()

    def _spill(self) -> None:
        """Moves what is held to the file, as a run.

        Raises:
            InternalError: there is no room for it.
        """
        run = sorted((hash(item), place) for item, place in self._held.items())
        try:
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
            start = self._file.tell()
            array.array("q", chain.from_iterable(run)).tofile(self._file)
            self._file.flush()
        except OSError as error:
            raise InternalError(
                f"a temporary file cannot be written: {error}", remedy="make room, or name another folder in TMPDIR"
            ) from error
        self._runs.append((start, self._file.tell()))
        self._held = {}

    def _run(self, start: int, end: int) -> Iterable[tuple[int, int]]:
        """Hashes and places of a run, in order."""
        assert self._file
        for at in range(start, end, _BLOCK_BYTES):
            numbers = array.array("q")
            numbers.frombytes(os.pread(self._file.fileno(), min(_BLOCK_BYTES, end - at), at))
            yield from zip(numbers[::2], numbers[1::2], strict=True)
