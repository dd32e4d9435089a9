"""Progress of a step: a line a person can follow, and a status file that a watcher can draw.

A step does not know who looks.  It prints a plain line to standard error every few seconds (what a pod's
log shows); where HOPLINE_STATUS names a file, it keeps its latest state there, and `hopline run` draws that
as a live bar.
"""

import json
import os
import sys
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Any

from hopline.runtime.records import print_record

STATUS_VARIABLE = "HOPLINE_STATUS"
RECORD_VARIABLE = "HOPLINE_PROGRESS_RECORDS"  # if set, each line comes with a record, for programs that read the log
_LINE_SECONDS = 5.0
_STATUS_SECONDS = 0.2
_RATE_SECONDS = 30.0


class Progress:
    """Counts work done towards a total.

    Args:
        step: the step's name, as the pipeline knows it.
        total: amount of work, in `unit`s; 0 where it is not known.
        unit: what is counted, such as "tokens".
        phase: what the step is doing, such as "validating".
        done: what an earlier process has done already.
        quiet: shows nothing; for all workers but the chief.
    """

    def __init__(
        self, step: str, total: int, unit: str, *, phase: str = "", done: int = 0, quiet: bool = False
    ) -> None:
        self.step, self.total, self.unit, self.phase, self.done = step, total, unit, phase, done
        self._quiet = quiet
        self._recent = deque([(time.monotonic(), done)])  # (when, done), of the last _RATE_SECONDS
        self._line_at = self._status_at = 0.0
        self._status = Path(os.environ[STATUS_VARIABLE]) if os.environ.get(STATUS_VARIABLE) else None

    @property
    def rate(self) -> float:
        """Units per second of late; the mean since the start would never forget the time taken to compile."""
        since, done = self._recent[0]
        return (self.done - done) / max(time.monotonic() - since, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the rate; None while there is no rate."""
        return (self.total - self.done) / self.rate if self.total and self.rate else None

    def update(self, done: int, **values: float) -> None:
        """Sets the work done and the values to show beside it, such as `loss`; cheap, call it at every step."""
        self.done = done
        if self._quiet:
            return
        now = time.monotonic()
        if now - self._recent[-1][0] >= _STATUS_SECONDS:
            self._recent.append((now, done))
            while len(self._recent) > 2 and now - self._recent[1][0] >= _RATE_SECONDS:
                self._recent.popleft()
        finished = bool(self.total) and done >= self.total
        if self._status and (finished or now - self._status_at >= _STATUS_SECONDS):
            self._status_at = now
            self._write_status(values)
        if finished or now - self._line_at >= _LINE_SECONDS:
            self._line_at = now
            print(self.line(values), file=sys.stderr, flush=True)
            if os.environ.get(RECORD_VARIABLE):
                print_record("progress", self._state(values))

    def line(self, values: dict[str, float]) -> str:
        """The state as one line of text."""
        shown = [f"{self.step}:" if not self.phase else f"{self.step}: {self.phase}"]
        shown.append(f"{self.done:,}/{self.total:,} {self.unit}" if self.total else f"{self.done:,} {self.unit}")
        shown += [f"{name} {value:,.4g}" for name, value in values.items()]
        if self.rate:
            shown.append(f"{self.rate:,.0f} {self.unit}/s")
        if self.seconds_left is not None:
            shown.append(f"{format_seconds(self.seconds_left)} left")
        return "  ".join(shown)

    def _state(self, values: dict[str, float]) -> dict[str, Any]:
        return {
            "step": self.step, "phase": self.phase, "done": self.done, "total": self.total, "unit": self.unit,
            "rate": self.rate, "seconds_left": self.seconds_left, "values": values,
        }  # fmt: skip

    def _write_status(self, values: dict[str, float]) -> None:
        assert self._status is not None
        temporary = self._status.with_name(f".{self._status.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            temporary.write_text(json.dumps(self._state(values)), encoding="utf-8")
            temporary.rename(self._status)
        except OSError:  # a full disk must not stop a step for the sake of its progress bar
            temporary.unlink(missing_ok=True)


def format_seconds(seconds: float) -> str:
    """A duration as people write it: 8 s, 3:05, 2:00:07."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
