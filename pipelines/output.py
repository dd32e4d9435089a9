"""Where a run's results go: a local folder, or a place in an object store.

Work in progress is local always, for a lock and a cache need a disk:

    <folder>/lock            held by the run; a killed run's lock is released with its process
    <folder>/cache/          the steps' work folder: a killed run is found again there
    <folder>/runs/<id>/      one run; with a failure.json if it failed

In a local output that folder is the output, and the registry lies there too.  For an object store it is a folder of
the user's cache: finished runs go from there to <uri>/runs/<id>/ and are kept until they have arrived.
"""

import hashlib
import os
import re
import signal
import uuid
from pathlib import Path

from rich.console import Console

from hopline.registry.registry import Registry
from hopline.runtime import places
from hopline.runtime.errors import HoplineError
from hopline.runtime.process import FAILURE_FILE
from hopline.schema import MANIFEST, OUTPUT_CACHE, OUTPUT_LOCK, OUTPUT_RUNS
from hopline.store import trees
from hopline.store.bucket import ABSENT
from hopline.store.folders import remove_partial, remove_tree, writable_folder
from hopline.store.objects import Store
from pipelines.supervise import StoppedError

LOCK = OUTPUT_LOCK
REGISTRY = "registry"
CACHE = OUTPUT_CACHE
RUNS = OUTPUT_RUNS
_READABLE_LENGTH = 60  # of the part of a folder's name that is made of the URI


class Output:
    """An output in the local folder `folder`.

    Attributes:
        place: the output as a path or URI.
        folder: of work in progress.
        registry: path or URI of the registry.
        written: the folders that the steps write in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.place = str(self.folder)
        self.registry = f"{self.place}/{REGISTRY}"
        self.written = [self.folder / CACHE, self.folder / REGISTRY]

    def run_place(self, name: str) -> str:
        """The path or URI at which the finished run `name` lies."""
        return f"{self.place}/{RUNS}/{name}"

    def prepare(self, console: Console) -> None:
        """Makes the folder, and sees that results can be written.

        Raises:
            UserError: they cannot.
        """
        writable_folder(self.folder, "--output")

    def deliver(self) -> None:
        """Brings the finished runs to their place; the caller holds the lock."""


class RemoteOutput(Output):
    """An output at the URI `uri` of an object store."""

    def __init__(self, uri: str) -> None:
        super().__init__(_cache_folder(uri))
        self.place = uri
        self.registry = f"{uri}/{REGISTRY}"
        self.written = [self.folder / CACHE]

    def prepare(self, console: Console) -> None:
        """Makes the folder, and tries what a run will ask of the store: to write, to delete, to list and to read.

        Raises:
            UserError: the bucket does not exist, or the credentials are missing or do not suffice.
            InternalError: the store does not answer.
        """
        writable_folder(self.folder, "the folder of work in progress")
        console.print(f"work in progress: {self.folder}", markup=False, soft_wrap=True)
        store, probe = Store(self.place), f".{uuid.uuid4().hex}.partial"
        store.write(probe, b"", expected=ABSENT)
        store.delete(probe)
        Registry(self.registry).champion()

    def deliver(self) -> None:
        """Sends the finished runs that are here, and removes each when it has arrived.

        Raises:
            HoplineError: one could not be sent, or Ctrl-C; it stays here.
        """
        remove_partial(self.folder / RUNS)
        for run in sorted(path for path in (self.folder / RUNS).glob("*") if not (path / FAILURE_FILE).exists()):
            try:
                _send_run(run, self.run_place(run.name))
            except HoplineError as error:
                raise type(error)(
                    f"run {run.name} is finished, but could not be sent to {self.place}: {error.message}",
                    remedy=f"it is kept in {run}, and the same command sends it; {error.remedy}",
                ) from error
            except KeyboardInterrupt as error:
                raise StoppedError(signal.SIGINT) from error
            remove_tree(run)


def open_output(place: str | Path) -> Output:
    """The output at a local path or the URI of an object store.

    Raises:
        UserError: `place` is text that is neither.
    """
    found = places.parse_place(place) if isinstance(place, str) else place
    return Output(found) if isinstance(found, Path) else RemoteOutput(found)


def _cache_folder(uri: str) -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    readable = re.sub("[^A-Za-z0-9.]+", "-", uri)[:_READABLE_LENGTH]
    return caches / "hopline" / f"{readable}-{hashlib.sha256(uri.encode()).hexdigest()[:8]}"


def _send_run(run: Path, uri: str) -> None:
    """Copies the run's artifacts, each whole or not at all, and then its files."""
    for tree in sorted(path.parent for path in run.glob(f"*/{MANIFEST}")):
        trees.send_tree(tree, f"{uri}/{tree.name}", "output")
    store = Store(uri)
    for file in sorted(path for path in run.iterdir() if path.is_file()):
        store.upload_file(file, file.name)
