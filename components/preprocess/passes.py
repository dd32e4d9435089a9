"""The two Beam pipelines: one finds the vocabulary, the other encodes.  Their elements are ranges, never text.

A worker's `UserError` reaches the driver as a file: runners turn exceptions into text of their own.
"""

import contextlib
import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx_bsl.public.tfxio import TensorAdapterConfig

from components.preprocess.encode import Tokeniser, encode
from components.preprocess.plan import Range
from components.preprocess.reading import batches, pieces
from components.preprocess.tokenise import preprocessing_fn
from hopline.artifacts import whole
from hopline.config import CorpusConfig, PreprocessConfig
from hopline.errors import UserError
from hopline.process import read_failure, write_failure
from hopline.progress import Progress

_POLL_SECONDS = 0.5
_TEXT_COLUMN = pa.schema([("text", pa.list_(pa.binary()))])


class Meter:
    """What workers say to the driver by files in one folder, whatever runner they are under."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def report(self, work: Range, done: int) -> None:
        """Notes the bytes of the range that are done; a compressed file's text may be longer than the file."""
        (self._folder / f"{work.index:06}.bytes").write_text(str(min(done, work.size)), encoding="ascii")

    def fail(self, work: Range, error: UserError) -> None:
        """Leaves the error of a range."""
        write_failure(self._folder / f"{work.index:06}.json", "preprocess", error)

    @property
    def failed(self) -> bool:
        """Whether any range has failed, so that the others need not start."""
        return any(self._folder.glob("*.json"))

    @contextlib.contextmanager
    def watching(self, phase: str, total: int) -> Iterator[None]:
        """Shows progress while the block runs, and then raises the error of the first range that failed."""
        self._folder.mkdir(parents=True)
        progress, stop = Progress("preprocess", total, "bytes", phase=phase), threading.Event()

        def watch() -> None:
            while not stop.wait(_POLL_SECONDS):
                # A file caught between being made and being written is empty.
                progress.update(sum(int(path.read_text() or 0) for path in self._folder.glob("*.bytes")))

        watcher = threading.Thread(target=watch, daemon=True, name="progress")
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
        for path in sorted(self._folder.glob("*.json")):
            if error := read_failure(path):
                raise error
        progress.update(total)
