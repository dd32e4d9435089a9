"""The two Beam pipelines: one counts words, the other encodes.  Their elements are ranges and counts, never text."""

import contextlib
import functools
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner
from apache_beam.transforms.environments import EmbeddedPythonGrpcEnvironment, python_sdk_capabilities
from apache_beam.transforms.window import GlobalWindows, WindowedValue

from components.preprocess.counting import (
    Block,
    Partition,
    Totals,
    WordCounter,
    blocks,
    merge,
    most_frequent,
)
from components.preprocess.encode import Encoding, Tokeniser, encode
from components.preprocess.meter import Meter
from components.preprocess.plan import Range
from components.preprocess.reading import SOURCES, batches, pieces
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.corpus.stamps import Stamps
from hopline.runtime.cpus import usable_cpus
from hopline.runtime.errors import InternalError, UserError
from hopline.store.folders import remove_partial, remove_tree

_NAMESPACE = "hopline.preprocess"  # of our counters among Beam's metrics
_IN_PROCESS = ("FnApiRunner", "apache_beam.runners.portability.fn_api_runner.FnApiRunner")
_HELD_WORDS = 1 << 21  # that a worker adds up before it hands them on: some 100 MB
_PARALLEL_BYTES = 32 << 20  # of files; less is done by one worker before a second has gained what it costs


def count_words(ranges: list[Range], corpus: CorpusConfig, config: PreprocessConfig, scratch: Path) -> list[str]:
    """The vocabulary of the training text without the reserved words, most frequent first.

    Raises:
        UserError: the text is damaged, or the runner cannot be used.
    """
    meter = Meter(scratch / "counting")
    found = scratch / "counts"
    shutil.rmtree(found, ignore_errors=True)  # of a run that was killed
    found.mkdir()
    with meter.watching("counting", sum(work.size for work in ranges)), _pipeline(config, ranges) as pipeline:
        (
            pipeline
            | "Ranges" >> beam.Create(ranges)
            | "Spread" >> beam.Reshuffle()
            | "Count" >> beam.ParDo(_Count(corpus, config, meter))
            | "Partitions" >> beam.GroupByKey()
            | "Add up" >> beam.ParDo(_AddUp(config, found))
        )
    partitions = [Partition.load(path) for path in sorted(found.glob("*.npz"))]
    arrived, sent = sum(partition.occurrences for partition in partitions), meter.sent
    if arrived != sent:
        raise InternalError(
            f"of {sent:,} words of the training text that were counted, {arrived:,} arrived where they are added up",
            remedy=f"run again; if it persists under preprocess.runner = {config.runner}, use another",
        )
    return merge([partition.kept for partition in partitions], config.max_words)


def encode_all(
    ranges: list[Range], config: PreprocessConfig, scratch: Path, *, transform: Path, encoding: Encoding, stamps: Stamps
) -> None:
    """Encodes every range into its own folder below `scratch`, but for those that have one already.

    Args:
        ranges: all ranges of the corpus.
        config: the runner.
        scratch: a folder that all workers share.
        transform: the transform graph.
        encoding: what an encoded range depends on.
        stamps: of the files; a range that was made of files with others is made anew.

    Raises:
        UserError: the text is damaged, or the runner cannot be used.
    """
    meter = Meter(scratch / "encoding")
    (scratch / "ranges").mkdir(exist_ok=True)
    remove_partial(scratch / "ranges")
    missing = [work for work in ranges if not _made_of(range_folder(scratch, work), stamps)]
    if not missing:
        return
    task = _Encode(scratch, transform, meter, encoding)
    with meter.watching("encoding", sum(work.size for work in missing)), _pipeline(config, missing) as pipeline:
        pipeline | "Ranges" >> beam.Create(missing) | "Spread" >> beam.Reshuffle() | "Encode" >> beam.ParDo(task)


def _made_of(folder: Path, stamps: Stamps) -> bool:
    """Whether the range's folder is there and was made of these very files; one of others is removed."""
    if not folder.exists():
        return False
    if stamps.hold(json.loads((folder / SOURCES).read_text(encoding="utf-8"))["stamps"]):
        return True
    remove_tree(folder)
    return False


def range_folder(scratch: Path, work: Range) -> Path:
    """Where the files of an encoded range are."""
    return scratch / "ranges" / f"{work.index:06}"


class _Count(beam.DoFn):
    """The words of the training text of a worker's ranges, counted.

    Ranges have most of their words in common, and Beam's in-process runner holds all that is handed on, so a worker
    adds up those of a bundle first.
    """

    def __init__(self, corpus: CorpusConfig, config: PreprocessConfig, meter: Meter) -> None:
        self._corpus, self._config, self._meter = corpus, config, meter
        self._words: WordCounter | None = None
        self._totals: Totals | None = None

    def setup(self) -> None:
        self._words = WordCounter(self._config.tokeniser, lowercase=self._config.lowercase)

    def start_bundle(self) -> None:
        self._totals = Totals()

    def process(self, work: Range) -> Iterator[tuple[int, Block]]:
        assert self._words
        assert self._totals
        if self._meter.failed:
            return
        done, totals = 0, Totals()
        try:
            for batch in batches(piece for piece in pieces(work, self._corpus) if piece.split == "train"):
                self._words.add([piece.text for piece in batch], totals)
                done += sum(len(piece.text) for piece in batch)
                self._meter.report(work, done)
        except UserError as error:
            self._meter.fail(work, error)
            return
        _count_up({"text_bytes": done})
        words, counts = totals.counted()
        self._totals.add(words, counts)
        self._meter.send(work, int(counts.numpy().sum()))
        if self._totals.held > _HELD_WORDS:
            yield from blocks(self._totals)
            self._totals = Totals()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        assert self._totals
        yield from map(GlobalWindows.windowed_value, blocks(self._totals))
        self._totals = None


class _AddUp(beam.DoFn):
    """The most frequent words of a partition, as a file of the driver's."""

    def __init__(self, config: PreprocessConfig, folder: Path) -> None:
        self._most, self._least, self._folder = config.max_words, config.min_count, folder

    def process(self, partition: tuple[int, Iterable[Block]]) -> None:
        index, found = partition
        most_frequent(found, self._most, self._least).save(self._folder / f"{index:03}.npz")


class _Encode(beam.DoFn):
    """Encodes a range; its files are the output."""

    def __init__(self, folder: Path, transform: Path, meter: Meter, encoding: Encoding) -> None:
        self._folder, self._transform, self._meter, self._encoding = folder, transform, meter, encoding
        self._tokeniser: Tokeniser | None = None

    def setup(self) -> None:
        self._tokeniser = Tokeniser(self._transform)

    def process(self, work: Range) -> None:
        assert self._tokeniser
        if self._meter.failed:
            return
        try:
            report = functools.partial(self._meter.report, work)
            _count_up(encode(work, range_folder(self._folder, work), self._tokeniser, self._encoding, report))
        except UserError as error:
            self._meter.fail(work, error)


def runner_options(config: PreprocessConfig, ranges: list[Range]) -> list[str]:
    """What is passed on to Beam.

    For Beam's in-process runner, in this order: 1. what the configuration says; 2. as many workers as there are CPUs
    that this process may use, and ranges, if there is text enough that they gain more than starting them takes;
    3. workers that are threads, for Beam's own default runs several one after another.  The work is done in NumPy and
    TensorFlow, which leave the interpreter to the other threads; processes would each import TensorFlow, for each pass.
    """
    options = list(config.runner_options)
    if config.runner not in _IN_PROCESS:
        return options
    if not any(option.startswith("--direct_num_workers") for option in options):
        workers = min(usable_cpus(), len(ranges))
        if workers < 2 or sum(work.size for work in ranges) < _PARALLEL_BYTES:
            return options
        options.append(f"--direct_num_workers={workers}")
    if not any(option.startswith("--direct_running_mode") for option in options):
        options.append("--direct_running_mode=multi_threading")
    return options


def _runner(name: str, options: PipelineOptions) -> str | PipelineRunner:
    """The runner, by name: Beam's own default would try to download one.

    Threads get an environment of ours.  In that of Beam a second thread empties the buffer of a worker's output each
    second, and what the worker writes meanwhile is lost (apache-beam 2.77, `TimeBasedBufferingClosableOutputStream`).
    """
    direct = options.view_as(DirectOptions)
    if name not in _IN_PROCESS or direct.direct_running_mode != "multi_threading":
        return name
    direct.direct_running_mode = "in_memory"  # else the runner takes Beam's environment
    capabilities = python_sdk_capabilities()
    return FnApiRunner(EmbeddedPythonGrpcEnvironment(data_buffer_time_limit_ms=-1, capabilities=capabilities))


@contextlib.contextmanager
def _pipeline(config: PreprocessConfig, ranges: list[Range]) -> Iterator[beam.Pipeline]:
    """A pipeline under the configured runner, which runs at the block's end; its counters are printed."""
    try:
        options = PipelineOptions(runner_options(config, ranges))
        pipeline = beam.Pipeline(runner=_runner(config.runner, options), options=options)
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(
            f'preprocess.runner "{config.runner}" cannot be used: {error}',
            remedy='set preprocess.runner to "FnApiRunner", or install what the other runner needs',
        ) from error
    yield pipeline
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except RuntimeError as error:  # in which a portable runner tells any failure, such as the loss of a worker
        if config.runner in _IN_PROCESS:
            raise
        raise InternalError(
            f"{config.runner} ended the work: {error}",
            remedy="run again: the ranges that are encoded are kept; if it persists, see the logs of the workers",
        ) from error
    if counted := counters(result):
        shown = ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counted.items())
        print(f"preprocess: counted by Beam: {shown}", file=sys.stderr)


def counters(result: PipelineResult) -> dict[str, int]:
    """Our counters of a pipeline that has ended, by name; none where the runner has no metrics."""
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    except (NotImplementedError, ValueError):
        return {}
    # A runner that may have worked on a bundle twice commits it once.
    return {
        metric.key.metric.name: int(metric.attempted if metric.committed is None else metric.committed)
        for metric in sorted(found, key=lambda metric: metric.key.metric.name)
    }


def _count_up(counted: Mapping[str, int]) -> None:
    for name, value in counted.items():
        Metrics.counter(_NAMESPACE, name).inc(value)
