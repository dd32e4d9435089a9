"""The training log: one JSON object a line, one line a step and one a validation; and the same for TensorBoard."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.train.report.curve import Curve, CurveRecorder
from components.train.report.events import EVENTS_FOLDER, EventFile


class TrainingLog:
    """Appends to the log at `path`, to the event file in `events/` beside it, and to the curve kept in memory.

    Args:
        path: the log file.
        step: where training stands; lines of later steps, which a killed process left behind, are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._curve = CurveRecorder()
        temporary = path.with_suffix(".partial")
        self._events = EventFile(path.parent / EVENTS_FOLDER, time.time())
        with temporary.open("w", encoding="utf-8") as stream:
            for record in read_log(path):  # one at a time: a long run's log is larger than its model
                if record["step"] <= step:
                    stream.write(json.dumps(record) + "\n")
                    self._note(record)
        temporary.replace(path)
        self._stream = path.open("a", encoding="utf-8")
        self._events.flush()

    def write(self, **record: Any) -> None:
        """Adds one line, and the `time` of it: seconds since 1970, UTC."""
        record = {**record, "time": round(time.time(), 3)}
        self._stream.write(json.dumps(record) + "\n")
        self._note(record)

    def curve(self) -> Curve:
        """The training curve so far, those steps included that an earlier process made."""
        return self._curve.curve()

    def flush(self) -> None:
        """Makes what was written so far safe; called before a checkpoint, which must not be ahead of its log."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._events.flush()

    def close(self) -> None:
        """Closes both files."""
        self._stream.close()
        self._events.close()

    def _note(self, record: dict[str, Any]) -> None:
        self._events.add(record)
        self._curve.add(record)


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The log's records; a last line that was cut off in writing is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield json.loads(line)
