"""The runs of this machine, read from the output folder of `hopline run`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.steps import ARTIFACTS
from hopline.artifacts import read_manifest
from hopline.runtime.errors import HoplineError, UserError
from hopline.runtime.process import FAILURE_FILE, read_failure
from hopline.store.folders import locked
from pipelines.output import LOCK, RUNS, Output
from pipelines.run import CONFIG, LOG

_PARTIAL = re.compile(r"\.(?P<id>.+)\.[0-9a-f]{8}\.partial")
_TIME = "%Y%m%d-%H%M%S-%f"  # a run is named by its time, in UTC


@dataclass(frozen=True)
class LocalRun:
    """A run of this machine.

    Attributes:
        id: its name.
        folder: of what it has left so far.
        state: RUNNING, SUCCEEDED, FAILED, or KILLED for one that was ended before it could say so.
        note: the decision, or why it failed.
        perplexity: of the challenger; None where none was evaluated.
    """

    id: str
    folder: Path
    state: str
    note: str = ""
    perplexity: float | None = None

    @property
    def created(self) -> datetime | None:
        """When it began; None for a folder that somebody has named."""
        try:
            return datetime.strptime(self.id, _TIME).replace(tzinfo=UTC)
        except ValueError:
            return None

    @property
    def log(self) -> Path:
        """The file of what its steps have said."""
        return self.folder / LOG

    @property
    def config(self) -> Path:
        """The file of its configuration."""
        return self.folder / CONFIG


def local_runs(output: Output) -> Iterator[LocalRun]:
    """The runs in the output's folder, newest first; of an output in a store those that are here yet."""
    folder = output.folder / RUNS
    paths = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    for path in sorted(paths, key=_name, reverse=True):
        yield _read(_name(path), path, output)


def find(output: Output, identity: str) -> LocalRun:
    """The run with this id.

    Raises:
        UserError: there is none.
    """
    for run in local_runs(output):
        if run.id == identity:
            return run
    raise UserError(
        f"there is no run {identity} in {output.folder}", remedy=f"hopline runs list --output {output.place}"
    )


def is_local(identity: str) -> bool:
    """Whether the id is of the form that runs of this machine have."""
    try:
        return bool(datetime.strptime(identity, _TIME))
    except ValueError:
        return False


def _name(path: Path) -> str:
    partial = _PARTIAL.fullmatch(path.name)
    return partial["id"] if partial else path.name


def _read(name: str, path: Path, output: Output) -> LocalRun:
    if _PARTIAL.fullmatch(path.name):
        return LocalRun(name, path, "RUNNING" if _is_held(output.folder / LOCK) else "KILLED")
    if failure := read_failure(path / FAILURE_FILE):
        return LocalRun(name, path, "FAILED", failure.message)
    try:
        facts = read_manifest(path / ARTIFACTS["evaluate"], "evaluation").facts
    except HoplineError:
        return LocalRun(name, path, "SUCCEEDED", "nothing was trained")
    perplexity = facts.get("challenger_perplexity")
    note = "promoted" if facts.get("decision") == "promote" else "rejected"
    return LocalRun(name, path, "SUCCEEDED", note, perplexity if isinstance(perplexity, int | float) else None)


def _is_held(lock: Path) -> bool:
    try:
        with locked(lock, wait=False):
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False
