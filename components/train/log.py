"""The training log: one JSON object a line, one line a step and one a validation."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class TrainingLog:
    """Appends to the log at `path`.

    Args:
        path: the log file.
        step: where training stands; lines of later steps, which a killed process left behind, are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        kept = [record for record in read_log(path) if record["step"] <= step]
        temporary = path.with_suffix(".partial")
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
        temporary.replace(path)
        self._stream = path.open("a", encoding="utf-8")

    def write(self, **record: Any) -> None:
        """Adds one line."""
        self._stream.write(json.dumps(record) + "\n")

    def flush(self) -> None:
        """Makes what was written so far safe; called before a checkpoint, which must not be ahead of its log."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The log's records; a last line that was cut off in writing is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield json.loads(line)
