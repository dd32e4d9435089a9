"""The two Beam pipelines: one counts words, the other encodes.  Their elements are ranges and counts, never text.

A worker's `UserError` reaches the driver as a file: runners turn exceptions into text of their own.
"""

import contextlib
import functools
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.preprocess.counting import Block, WordCounter, blocks, merge, most_frequent
from components.preprocess.encode import Encoding, Tokeniser, encode
from components.preprocess.plan import Range
from components.preprocess.reading import SOURCES, batches, pieces
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.corpus.stamps import Stamps
from hopline.runtime.errors import UserError
from hopline.runtime.process import read_failure, write_failure
from hopline.runtime.progress import Progress
from hopline.store.folders import remove_partial, remove_tree, write_json

_POLL_SECONDS = 0.5


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


def count_words(ranges: list[Range], corpus: CorpusConfig, config: PreprocessConfig, scratch: Path) -> list[str]:
    """The vocabulary of the training text without the reserved words, most frequent first.

    Raises:
        UserError: the text is damaged, or the runner cannot be used.
    """
    meter = Meter(scratch / "counting")
    found = scratch / "counts"
    shutil.rmtree(found, ignore_errors=True)  # of a run that was killed
    found.mkdir()
    with meter.watching("counting", sum(work.size for work in ranges)), _pipeline(config) as pipeline:
        (
            pipeline
            | "Ranges" >> beam.Create(ranges)
            | "Spread" >> beam.Reshuffle()
            | "Count" >> beam.ParDo(_Count(corpus, config, meter))
            | "Partitions" >> beam.GroupByKey()
            | "Add up" >> beam.ParDo(_AddUp(config, found))
        )
    partitions = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(found.glob("*.json"))]
    return merge(partitions, config.max_words)


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
    with meter.watching("encoding", sum(work.size for work in missing)), _pipeline(config) as pipeline:
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
    """The words of a range's training text, counted."""

    def __init__(self, corpus: CorpusConfig, config: PreprocessConfig, meter: Meter) -> None:
        self._corpus, self._config, self._meter = corpus, config, meter
        self._words: WordCounter | None = None

    def setup(self) -> None:
        self._words = WordCounter(self._config.tokeniser, lowercase=self._config.lowercase)

    def process(self, work: Range) -> Iterator[tuple[int, Block]]:
        assert self._words
        if self._meter.failed:
            return
        done, counts = 0, Counter[bytes]()
        try:
            for batch in batches(piece for piece in pieces(work, self._corpus) if piece.split == "train"):
                self._words.add([piece.text for piece in batch], counts)
                done += sum(len(piece.text) for piece in batch)
                self._meter.report(work, done)
        except UserError as error:
            self._meter.fail(work, error)
            return
        yield from blocks(counts)


class _AddUp(beam.DoFn):
    """The most frequent words of a partition, as a file of the driver's."""

    def __init__(self, config: PreprocessConfig, folder: Path) -> None:
        self._most, self._least, self._folder = config.max_words, config.min_count, folder

    def process(self, partition: tuple[int, Iterable[Block]]) -> None:
        index, found = partition
        write_json(self._folder / f"{index:03}.json", most_frequent(found, self._most, self._least))


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
            encode(work, range_folder(self._folder, work), self._tokeniser, self._encoding, report)
        except UserError as error:
            self._meter.fail(work, error)


def runner_options(config: PreprocessConfig) -> list[str]:
    """What is passed on to Beam.  Several workers without a mode would be one after another, without a word."""
    options = list(config.runner_options)
    if any(option.startswith("--direct_num_workers") for option in options) and not any(
        option.startswith("--direct_running_mode") for option in options
    ):
        options.append("--direct_running_mode=multi_threading")
    return options


def _pipeline(config: PreprocessConfig) -> beam.Pipeline:
    """A pipeline under the configured runner, by name: Beam's own default would try to download one."""
    try:
        return beam.Pipeline(runner=config.runner, options=PipelineOptions(runner_options(config)))
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(
            f'preprocess.runner "{config.runner}" cannot be used: {error}',
            remedy='set preprocess.runner to "FnApiRunner", or install what the other runner needs',
        ) from error
