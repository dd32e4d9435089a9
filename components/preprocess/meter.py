"""What the workers of a pass say to its driver: how far they are, what they hand on, and what has failed.

A worker's `UserError` reaches the driver as a file: runners turn exceptions into text of their own.
"""

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from components.preprocess.plan import Range
from hopline.runtime.errors import UserError
from hopline.runtime.process import read_failure, write_failure
from hopline.runtime.progress import Progress
from hopline.store.folders import write_text

_POLL_SECONDS = 0.5


class Meter:
    """What workers say to the driver by files in one folder, whatever runner they are under."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def report(self, work: Range, done: int) -> None:
        """Notes the bytes of the range that are done; a compressed file's text may be longer than the file."""
        (self._folder / f"{work.index:06}.bytes").write_text(str(min(done, work.size)), encoding="ascii")

    def send(self, work: Range, occurrences: int) -> None:
        """Notes how many words of the range are handed on."""
        write_text(self._folder / f"{work.index:06}.sent", str(occurrences))

    @property
    def sent(self) -> int:
        """How many words of all ranges were handed on."""
        return sum(int(path.read_text(encoding="ascii")) for path in self._folder.glob("*.sent"))

    def fail(self, work: Range, error: UserError) -> None:
        """Leaves the error of a range."""
        write_failure(self._folder / f"{work.index:06}.json", "preprocess", error)

    @property
    def failed(self) -> bool:
        """Whether any range has failed, so that the others need not start."""
        return any(self._folder.glob("*.json"))

    @contextlib.contextmanager
    def watching(self, phase: str, total: int) -> Iterator[None]:
        """Shows progress while the block runs, and then raises the error of the first range that failed."""
        shutil.rmtree(self._folder, ignore_errors=True)  # of a run that was killed
        self._folder.mkdir(parents=True)
        progress, stop = Progress("preprocess", total, "bytes", phase=phase), threading.Event()

        def watch() -> None:
            while not stop.wait(_POLL_SECONDS):
                # A file caught between being made and being written is empty.
                done = sum(int(path.read_text() or 0) for path in self._folder.glob("*.bytes"))
                progress.update(min(done, total - 1))  # not done before the runner is

        watcher = threading.Thread(target=watch, daemon=True, name="progress")
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
            # Also when the runner failed: without the text of a bad range it may have had nothing to work on.
            for path in sorted(self._folder.glob("*.json")):
                if error := read_failure(path):
                    raise error
        progress.update(total)
