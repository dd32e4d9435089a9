"""What the steps of a local run are doing, from the files they write; kfp.local does not say.

kfp gives each task a folder when it starts and writes `executor_output.json` into it when it is done.
"""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from components.steps import ARTIFACTS
from hopline.schema import MANIFEST

_DONE_FILE = "executor_output.json"


class State(Enum):
    """Of a step; the value is what people read."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FOUND = "found in cache"
    SKIPPED = "skipped"
    FAILED = "failed"
    NOT_REACHED = "not reached"
    STOPPED = "stopped"


@dataclass(frozen=True)
class StepView:
    """One step at one moment.

    Attributes:
        step: its name.
        state: what it is doing.
        seconds: how long it has been running, or ran.
        progress: the content of its status file (`hopline.runtime.progress`), if it runs and writes one.
        line: the last line of its log, where that is all that can be had.
    """

    step: str
    state: State
    seconds: float = 0.0
    progress: dict[str, Any] = field(default_factory=dict)
    line: str = ""


class Watch:
    """Looks at one attempt to run the pipeline.

    Args:
        root: kfp's folder, which belongs to this attempt alone.
        status: the file that HOPLINE_STATUS names.
    """

    def __init__(self, root: Path, status: Path) -> None:
        self.root, self.status = root, status
        self._from = datetime.now(UTC)
        self._started: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def look(self) -> list[StepView]:
        """All steps, in their order."""
        return [self._view(step, artifact) for step, artifact in ARTIFACTS.items()]

    def last_look(self, *, running: State, waiting: State) -> list[StepView]:
        """All steps after the end: what has become of one that was running, and of those that waited."""
        ends = {State.RUNNING: running, State.WAITING: waiting}
        return [StepView(view.step, ends.get(view.state, view.state), view.seconds) for view in self.look()]

    def artifact(self, step: str) -> Path | None:
        """The folder that the step has produced, or None where it has not."""
        return next(self.root.glob(f"*/{step}/{ARTIFACTS[step]}"), None)

    def _view(self, step: str, artifact: str) -> StepView:
        folder = next(self.root.glob(f"*/{step}"), None)
        if folder is None:
            return StepView(step, State.WAITING)
        now = time.monotonic()
        started = self._started.setdefault(step, now)
        if (folder / _DONE_FILE).exists():
            found = self._is_older(folder / artifact / MANIFEST)
            return StepView(step, State.FOUND if found else State.DONE, self._seconds.setdefault(step, now - started))
        return StepView(step, State.RUNNING, now - started, self._progress(step))

    def _progress(self, step: str) -> dict[str, Any]:
        try:
            progress = json.loads(self.status.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return progress if isinstance(progress, dict) and progress.get("step") == step else {}

    def _is_older(self, manifest: Path) -> bool:
        """Whether an artifact was made before this attempt began."""
        try:
            created = datetime.fromisoformat(json.loads(manifest.read_text(encoding="utf-8"))["created"])
        except (OSError, ValueError, KeyError):
            return False
        return created < self._from
