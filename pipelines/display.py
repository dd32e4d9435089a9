"""A run as a person sees it: a live table on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hopline.runtime.progress import format_seconds
from pipelines.watch import State, StepView

_LINE_SECONDS = 10.0
_BAR_WIDTH = 24
_STYLES = {
    State.WAITING: ("·", "dim"),
    State.RUNNING: ("▸", "bold cyan"),
    State.DONE: ("✓", "green"),
    State.FOUND: ("✓", "green"),
    State.SKIPPED: ("-", "dim"),
    State.NOT_REACHED: ("-", "dim"),
    State.FAILED: ("✗", "bold red"),
    State.STOPPED: ("■", "yellow"),
}


class Display(Protocol):
    """Shows the steps; `show` is called several times a second."""

    def show(self, views: list[StepView]) -> None:
        """Shows what the steps are doing now."""

    def note(self, text: str) -> None:
        """Says something once; what is shown next is a new attempt."""


@contextlib.contextmanager
def display(console: Console) -> Iterator[Display]:
    """The display that fits `console`."""
    if not console.is_terminal:
        yield PlainDisplay(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveDisplay(live)


class LiveDisplay:
    """One line per step, redrawn in place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, views: list[StepView]) -> None:
        """Redraws the table."""
        self._live.update(steps_table(views), refresh=True)

    def note(self, text: str) -> None:
        """Prints `text` above the table."""
        self._live.console.print(Text(text))


class PlainDisplay:
    """A line when a step begins or ends, and one every few seconds between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, State] = {}
        self._line_at = time.monotonic()

    def show(self, views: list[StepView]) -> None:
        """Prints what is new."""
        now = time.monotonic()
        for view in views:
            changed = view.state not in {self._states.get(view.step), State.WAITING}
            due = view.state is State.RUNNING and now - self._line_at >= _LINE_SECONDS
            if changed or due:
                self._line_at = now
                line = f"{view.step}: {_state(view)}  {progress_text(view.progress) or view.line}".rstrip()
                self._console.print(Text(line), soft_wrap=True)
            self._states[view.step] = view.state

    def note(self, text: str) -> None:
        """Prints `text` on a line of its own."""
        self._console.print(Text(text), soft_wrap=True)


def steps_table(views: list[StepView]) -> Table:
    """One row per step: its state and time, and for the running one a bar with its values."""
    table = Table.grid(padding=(0, 2))
    for view in views:
        mark, style = _STYLES[view.state]
        table.add_row(Text(mark, style), Text(view.step, style), _detail(view))
    return table


def progress_text(progress: dict[str, Any]) -> str:
    """A status file's content as one line; empty for none, and without a rate before its work and after."""
    if not progress:
        return ""
    done, total, unit = progress["done"], progress["total"], progress["unit"]
    parts = [progress["phase"]] if progress["phase"] else []
    parts.append(f"{done:,}/{total:,} {unit}" if total else f"{done:,} {unit}")
    parts += [f"{name} {value:,.4g}" for name, value in progress["values"].items()]
    if progress["rate"] and (not total or done < total):
        parts.append(f"{progress['rate']:,.0f} {unit}/s")
        if progress["seconds_left"] is not None:
            parts.append(f"{format_seconds(progress['seconds_left'])} left")
    return "  ".join(parts)


def _detail(view: StepView) -> RenderableType:
    _, style = _STYLES[view.state]
    if not view.progress.get("total"):
        return Text(f"{_state(view)}  {progress_text(view.progress) or view.line}".rstrip(), style)
    row = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=view.progress["total"], completed=view.progress["done"], width=_BAR_WIDTH)
    row.add_row(bar, Text(progress_text(view.progress)))
    return row


def _state(view: StepView) -> str:
    return f"{view.state.value} ({format_seconds(view.seconds)})" if view.seconds >= 1 else view.state.value
