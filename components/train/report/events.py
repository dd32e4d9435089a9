"""The training log as a TensorBoard event file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from hopline.model.scoring import perplexity
from hopline.store import folders

EVENTS_FOLDER = "events"
_SCALARS = ("learning_rate", "gradient_norm", "targets_per_second")
_LOSSES = {"loss": "train", "valid_loss": "valid", "average_valid_loss": "valid_average"}


class EventFile:
    """The one event file of `folder`.

    A training run that starts again writes it from the beginning, so that no point is there twice.  The file's first
    event tells a TensorBoard that is running to forget the points it has.

    Events are written as records of their own, not through tf.summary: they carry the log's wall times and steps, and
    a point costs microseconds.

    Args:
        folder: what it holds is removed.
        wall_time: when this file is begun, in seconds of UTC; part of its name.
    """

    def __init__(self, folder: Path, wall_time: float) -> None:
        folders.remove_tree(folder)
        folder.mkdir(parents=True)
        self._writer = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{int(wall_time)}.hopline"))
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        self._write(tf.compat.v1.Event(wall_time=wall_time, file_version="brain.Event:2"))
        self._write(tf.compat.v1.Event(wall_time=wall_time, session_log=start))  # TensorBoard drops steps from 0 on

    def add(self, record: Mapping[str, Any]) -> None:
        """Writes one record of the training log as one event."""
        values = {name: record[name] for name in _SCALARS if name in record}
        for name, split in _LOSSES.items():
            if name in record:
                values |= {f"{split}/loss": record[name], f"{split}/perplexity": perplexity(record[name])}
        value = tf.compat.v1.Summary.Value
        summary = tf.compat.v1.Summary(value=[value(tag=tag, simple_value=number) for tag, number in values.items()])
        self._write(tf.compat.v1.Event(wall_time=record["time"], step=record["step"], summary=summary))

    def flush(self) -> None:
        """Shows what was written so far to those who read the file."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, event: tf.compat.v1.Event) -> None:
        self._writer.write(event.SerializeToString())
