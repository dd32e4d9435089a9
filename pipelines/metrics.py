"""How far a local run is, as a text file for Prometheus (`node_exporter --collector.textfile.directory`)."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hopline.runtime.errors import UserError
from hopline.store.folders import write_text
from pipelines.display import Display
from pipelines.watch import State, StepView

_SECONDS = 5.0  # between two writes, while nothing but numbers change
_HELP = {
    "hopline_step_state": "1 for the state that a step is in",
    "hopline_step_seconds": "how long a step has been running, or ran",
    "hopline_step_progress_ratio": "share of its work that a running step has done",
    "hopline_step_left_seconds": "estimate of the time that a running step needs",
    "hopline_step_value": "what a running step shows beside its progress, such as the loss",
    "hopline_updated_timestamp_seconds": "when this was written",
}


class MetricsFile:
    """A display that also keeps `path` up to date, whole at each moment.

    Args:
        screen: where steps are shown as well.
        path: of the file; for node_exporter its name ends in .prom.

    Raises:
        UserError: the file cannot be written.  Later on that is no reason to end a run.
    """

    def __init__(self, screen: Display, path: Path) -> None:
        self._screen, self._path = screen, path
        self._states: list[State] = []
        self._next = 0.0
        try:
            write_text(path, text([]))
        except OSError as error:
            raise UserError(
                f"--metrics-file {path} cannot be written: {error.strerror}",
                remedy="name a file in a folder that exists",
            ) from error

    def show(self, views: list[StepView]) -> None:
        """Shows the steps, and writes them if something other than a number is new or some seconds have passed."""
        self._screen.show(views)
        states, now = [view.state for view in views], time.monotonic()
        if states == self._states and now < self._next:
            return
        self._states, self._next = states, now + _SECONDS
        with contextlib.suppress(OSError):
            write_text(self._path, text(views))

    def note(self, line: str) -> None:
        """Shows the line."""
        self._screen.note(line)


def text(views: Sequence[StepView]) -> str:
    """The steps in Prometheus's text format."""
    samples: dict[str, list[str]] = {name: [] for name in _HELP}
    for view in views:
        for name, labels, value in _samples(view):
            shown = ",".join(f"{key}={_quoted(label)}" for key, label in labels.items())
            samples[name].append(f"{name}{{{shown}}} {value:.10g}")
    samples["hopline_updated_timestamp_seconds"] = [f"hopline_updated_timestamp_seconds {time.time():.0f}"]
    lines = []
    for name, help_text in _HELP.items():
        if samples[name]:
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} gauge", *samples[name]]
    return "\n".join(lines) + "\n"


def _samples(view: StepView) -> Iterator[tuple[str, Mapping[str, str], float]]:
    step: dict[str, str] = {"step": view.step}
    for state in State:
        yield "hopline_step_state", {**step, "state": state.value}, float(state is view.state)
    yield "hopline_step_seconds", step, view.seconds
    progress: Mapping[str, Any] = view.progress
    if not progress:
        return
    step["phase"] = progress.get("phase", "")
    if progress.get("total"):
        yield "hopline_step_progress_ratio", step, progress["done"] / progress["total"]
    if progress.get("seconds_left") is not None:
        yield "hopline_step_left_seconds", step, progress["seconds_left"]
    for name, value in progress.get("values", {}).items():
        yield "hopline_step_value", {**step, "name": name}, value


def _quoted(label: str) -> str:
    escaped = label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
