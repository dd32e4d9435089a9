"""The two Beam pipelines: one finds the vocabulary, the other encodes.  Their elements are ranges, never text.

A worker's `UserError` reaches the driver as a file: runners turn exceptions into text of their own.
"""

import contextlib
import functools
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_transform.beam as tft_beam
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public.tfxio import TensorAdapterConfig

from components.preprocess.encode import Tokeniser, encode
from components.preprocess.plan import Range
from components.preprocess.reading import batches, pieces
from components.preprocess.tokenise import preprocessing_fn
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.runtime.errors import UserError
from hopline.runtime.process import read_failure, write_failure
from hopline.runtime.progress import Progress
from hopline.store.folders import remove_partial, whole

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
        shutil.rmtree(self._folder, ignore_errors=True)  # of a run that was killed
        self._folder.mkdir(parents=True)
        progress, stop = Progress("preprocess", total, "bytes", phase=phase), threading.Event()

        def watch() -> None:
            while not stop.wait(_POLL_SECONDS):
                # A file caught between being made and being written is empty.
                done = sum(int(path.read_text() or 0) for path in self._folder.glob("*.bytes"))
                progress.update(min(done, total - 1))  # not done before the runner is

        watcher = threading.Thread(target=watch, daemon=True, name="progress")
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
            # Also when the runner failed: without the text of a bad range it may have had nothing to work on.
            for path in sorted(self._folder.glob("*.json")):
                if error := read_failure(path):
                    raise error
        progress.update(total)


def analyse(ranges: list[Range], corpus: CorpusConfig, config: PreprocessConfig, scratch: Path, target: Path) -> None:
    """Finds the vocabulary of the training text and writes the transform graph to the folder `target`.

    Raises:
        UserError: the text is damaged, or the runner cannot be used.
    """
    dense = schema_pb2.TensorRepresentation.DenseTensor(column_name="text", shape=schema_pb2.FixedShape())
    adapter = TensorAdapterConfig(_TEXT_COLUMN, {"text": schema_pb2.TensorRepresentation(dense_tensor=dense)})
    meter = Meter(scratch / "analysing")
    shutil.rmtree(scratch / "tft", ignore_errors=True)  # of a run that was killed
    with (
        meter.watching("analysing", sum(work.size for work in ranges)),
        _pipeline(config) as pipeline,
        tft_beam.Context(temp_dir=str(scratch / "tft")),
    ):
        batched = (
            pipeline
            | "Ranges" >> beam.Create(ranges)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_TrainingText(corpus, meter))
        )
        graph = (batched, adapter) | tft_beam.AnalyzeDataset(functools.partial(preprocessing_fn, config=config))
        graph | tft_beam.WriteTransformFn(str(scratch / "tft" / "output"))
    with whole(target) as folder:
        shutil.copytree(scratch / "tft" / "output" / "transform_fn", folder, dirs_exist_ok=True)


def encode_all(
    ranges: list[Range], corpus: CorpusConfig, config: PreprocessConfig, scratch: Path, *, transform: Path, words: int
) -> None:
    """Encodes every range into its own folder below `scratch`, but for those that have one already.

    Args:
        ranges: all ranges of the corpus.
        corpus: how files are read.
        config: the runner, and the length of the look-behind.
        scratch: a folder that all workers share.
        transform: the transform graph.
        words: size of the vocabulary, `<pad>` included.

    Raises:
        UserError: the text is damaged, or the runner cannot be used.
    """
    meter = Meter(scratch / "encoding")
    (scratch / "ranges").mkdir(exist_ok=True)
    remove_partial(scratch / "ranges")
    missing = [work for work in ranges if not range_folder(scratch, work).exists()]
    if not missing:
        return
    task = _Encode(scratch, transform, meter, {"corpus": corpus, "context": config.context, "words": words})
    with meter.watching("encoding", sum(work.size for work in missing)), _pipeline(config) as pipeline:
        pipeline | "Ranges" >> beam.Create(missing) | "Spread" >> beam.Reshuffle() | "Encode" >> beam.ParDo(task)


def range_folder(scratch: Path, work: Range) -> Path:
    """Where the files of an encoded range are."""
    return scratch / "ranges" / f"{work.index:06}"


class _TrainingText(beam.DoFn):
    """The training text of a range, as record batches with the column `text`."""

    def __init__(self, corpus: CorpusConfig, meter: Meter) -> None:
        self._corpus, self._meter = corpus, meter

    def process(self, work: Range) -> Iterator[pa.RecordBatch]:
        if self._meter.failed:
            return
        done = 0
        try:
            for batch in batches(piece for piece in pieces(work, self._corpus) if piece.split == "train"):
                yield pa.RecordBatch.from_arrays([pa.array([[p.text] for p in batch], pa.list_(pa.binary()))], ["text"])
                done += sum(len(piece.text) for piece in batch)
                self._meter.report(work, done)
        except UserError as error:
            self._meter.fail(work, error)


class _Encode(beam.DoFn):
    """Encodes a range; its files are the output."""

    def __init__(self, folder: Path, transform: Path, meter: Meter, options: dict[str, Any]) -> None:
        self._folder, self._transform, self._meter, self._options = folder, transform, meter, options
        self._tokeniser: Tokeniser | None = None

    def setup(self) -> None:
        self._tokeniser = Tokeniser(self._transform)

    def process(self, work: Range) -> None:
        assert self._tokeniser
        if self._meter.failed:
            return
        try:
            encode(
                work,
                range_folder(self._folder, work),
                self._tokeniser,
                report=functools.partial(self._meter.report, work),
                **self._options,
            )
        except UserError as error:
            self._meter.fail(work, error)


def _pipeline(config: PreprocessConfig) -> beam.Pipeline:
    """A pipeline under the configured runner, by name: Beam's own default would try to download one."""
    try:
        return beam.Pipeline(runner=config.runner, options=PipelineOptions(list(config.runner_options)))
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(
            f'preprocess.runner "{config.runner}" cannot be used: {error}',
            remedy='set preprocess.runner to "FnApiRunner", or install what the other runner needs',
        ) from error
