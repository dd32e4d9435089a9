"""A training folder in an object store.

    <uri>/checkpoints/step-<n>/    a checkpoint as `components.train.state.checkpoint` has it, and its log and curve

A worker trains in a folder of its own.  The chief sends each checkpoint from there, with the log and the curve that
belong to it, as one tree whose manifest comes last; a worker that starts, wherever it does, fetches the newest.
"""

import contextlib
import queue
import shutil
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

from components.train.state import checkpoint
from hopline.artifacts import parse_manifest
from hopline.runtime.errors import HoplineError, InternalError, UserError
from hopline.schema import MANIFEST
from hopline.store import folders, trees
from hopline.store.bucket import DamagedError
from hopline.store.objects import Store

_OUTBOX = "outbox"


class StoredTraining:
    """The training folder at `uri`, and `folder`, where this process has its copy of it.

    Raises, in every method, what `Store` does: UserError for a store that refuses us, InternalError for one that stays
    away.
    """

    def __init__(self, uri: str, folder: Path) -> None:
        self.uri = uri
        self.folder = folder
        self._uri = f"{uri}/{checkpoint.FOLDER}"
        self._store = Store(self._uri)

    def exists(self) -> bool:
        """Whether there is a whole checkpoint."""
        return any(MANIFEST in files for files in self._trees().values())

    def newest_step(self) -> int:
        """The step of the newest whole checkpoint; 0 when there is none."""
        return max((checkpoint.step_of(name) for name, files in self._trees().items() if MANIFEST in files), default=0)

    def is_finished(self) -> bool:
        """Whether the newest whole checkpoint is one of a training that is over."""
        newest = max((name for name, files in self._trees().items() if MANIFEST in files), default="")
        found = self._store.read(f"{newest}/{checkpoint.STATE_FILE}") if newest else None
        return found is not None and checkpoint.is_end(found[0])

    def recover(self) -> None:
        """Fetches the newest sound checkpoint and leaves no newer one there; for the chief, before others join it.

        Removed are what a killed copy left, and checkpoints that are damaged; each of those is reported.
        """
        found = ""
        trees = self._trees()
        for name in sorted(trees, reverse=True):
            if MANIFEST not in trees[name]:
                self._remove(name, trees[name])
            elif not found:
                if damage := self._damage(name, trees[name]) or self._fetch(name):
                    print(f"train: {damage}; this checkpoint is removed", file=sys.stderr)
                    self._remove(name, trees[name])
                else:
                    found = name
        self._forget_others(found)
        self._prune()

    def fetch_newest(self) -> int:
        """Fetches the newest checkpoint, once the chief has chosen it, and returns its step; 0 if there is none."""
        newest = max((name for name, files in self._trees().items() if MANIFEST in files), default="")
        if newest and (damage := self._fetch(newest)):
            raise InternalError(damage, remedy="run the same command again: it continues from the checkpoint before")
        self._forget_others(newest)
        return checkpoint.step_of(newest) if newest else 0

    def send(self, directory: Path) -> None:
        """Sends the sealed checkpoint `directory`, and then removes all but the newest `KEPT` there."""
        trees.send_tree(directory, f"{self._uri}/{directory.name}", "train", quiet=True)
        self._prune()

    def _trees(self) -> dict[str, set[str]]:
        """The names of the checkpoints there, whole or not, and of the files that each has."""
        trees = defaultdict(set)
        for entry in self._store.entries("step-"):
            name, _, file = entry.name.partition("/")
            trees[name].add(file)
        return trees

    def _damage(self, name: str, files: set[str]) -> str:
        """What is wrong with the checkpoint `name`, by its manifest and the listing; "" for nothing."""
        found = self._store.read(f"{name}/{MANIFEST}")
        try:
            manifest = parse_manifest(found[0].decode() if found else "", f"{self._uri}/{name}", checkpoint.KIND)
        except (UserError, UnicodeDecodeError) as error:
            return str(error)
        missing = sorted(manifest.files.keys() - files)
        return f"{self._uri}/{name}/{missing[0]} is missing" if missing else ""

    def _fetch(self, name: str) -> str:
        """Makes the checkpoint `name`, its log and its curve the local ones; what was damaged about it, or ""."""
        directory = self.folder / checkpoint.FOLDER / name
        try:
            trees.fetch_tree(f"{self._uri}/{name}", directory, "train")
        except DamagedError as error:
            return error.message
        for beside in checkpoint.BESIDE:
            if (directory / beside).exists():  # a first checkpoint, with a champion's weights, has none
                shutil.copy2(directory / beside, self.folder / beside)
        return ""

    def _forget_others(self, kept: str) -> None:
        """Removes local checkpoints but the one: what was not sent, the other workers do not have."""
        for directory in (self.folder / checkpoint.FOLDER).glob("step-*"):
            if directory.name != kept:
                folders.remove_tree(directory)

    def _prune(self) -> None:
        trees = self._trees()
        for name in sorted(trees, reverse=True)[checkpoint.KEPT :]:
            self._remove(name, trees[name])

    def _remove(self, name: str, files: set[str]) -> None:
        for file in sorted(files, key=lambda file: file != MANIFEST):  # without it, it is not there
            self._store.delete(f"{name}/{file}")


class Sender:
    """Sends checkpoints while training goes on: always the newest, never the ones that it overtook.

    Leaving the block waits until the last one is there.  A store that stays away is no reason to end training before
    that: the next checkpoint holds all that this one did.

    Raises, from `add` and at the end of the block:
        UserError: the store refuses us.
        InternalError: at the end of the block alone: the last checkpoint could not be sent.

    A block that ends with an error ends with that one; that the last checkpoint could not be sent is only printed.
    """

    def __init__(self, stored: StoredTraining) -> None:
        self._stored = stored
        self._outbox = stored.folder / _OUTBOX
        self._waiting: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._failure: HoplineError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="sender")

    def add(self, directory: Path) -> None:
        """Has the sealed checkpoint `directory` sent, which may be removed once this returns."""
        if isinstance(self._failure, UserError):
            self._raise_failure()
        folders.place(directory, self._outbox / directory.name)
        self._waiting.put(self._outbox / directory.name)

    def __enter__(self) -> Self:
        folders.remove_tree(self._outbox)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()
        if self._failure and error is None:  # an error of the training itself says more, and decides on a retry
            self._raise_failure()

    def _raise_failure(self) -> None:
        assert self._failure
        raise self._failure from None  # `faults.explained` would take a network's OSError for that of a full disk

    def _run(self) -> None:
        ended = False
        while not ended:
            directories = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    directories.append(self._waiting.get_nowait())
            ended = directories[-1] is None
            checkpoints = [directory for directory in directories if directory]
            if checkpoints:
                self._send(checkpoints[-1])
            for directory in checkpoints:
                folders.remove_tree(directory)

    def _send(self, directory: Path) -> None:
        try:
            self._stored.send(directory)
        except HoplineError as error:
            self._failure = error
        except Exception as error:
            self._failure = InternalError(f"{directory.name} could not be sent: {type(error).__name__}: {error}")
        else:
            self._failure = None
            return
        print(f"train: {directory.name} is not in the store: {self._failure.message}", file=sys.stderr)
