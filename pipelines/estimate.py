"""What a training run will cost, said before it begins.

Steps follow from the tokens, and before preprocessing those are only known from the bytes.  A step takes a fixed time
and one for its floating-point operations; both are fitted to a benchmark (`throughput.toml`).  Where a run has ended
on this machine, the steps in its log correct them.
"""

import itertools
import json
import statistics
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopline.artifacts import read_manifest
from hopline.config.corpus import CorpusConfig
from hopline.config.cost import useful_operations
from hopline.config.model import ModelConfig
from hopline.corpus.files import SourceFile, source_files
from hopline.runtime.cpus import usable_cpus
from hopline.runtime.errors import HoplineError
from hopline.schema import RESERVED_WORDS
from pipelines.config.config import Config

# By tokeniser: 3.9 for `embedded:python`; the Penn Treebank has 5.5, text with longer words 6.
BYTES_PER_TOKEN = {"words": 3.9, "whitespace": 5.7, "characters": 1.0}
EXPANSION = 3.0  # of compressed text
BENCHMARK_SPREAD = 2.0  # another machine, other neighbours, another shape: twice as long or half
RUN_SPREAD = 1.4  # the same machine, with other neighbours
_RECORDS = Path(__file__).with_name("throughput.toml")
_FEWEST_STEPS = 20  # of a log, to say anything
_PAUSE = 100.0  # steps: a longer one was no step


@dataclass(frozen=True)
class Work:
    """What training has to do, at most.

    Attributes:
        targets: of an epoch.
        valid_targets: scored at the end of each epoch.
        steps_per_epoch: updates.
        steps: updates in all, at which training ends at the latest.
        step_targets: of the global batch.
    """

    targets: int
    valid_targets: int
    steps_per_epoch: int
    steps: int
    step_targets: int

    @property
    def validations(self) -> int:
        """How often the validation split is scored."""
        return -(-self.steps // self.steps_per_epoch)


@dataclass(frozen=True)
class Speed:
    """How fast steps are.

    Attributes:
        fixed: seconds of a step, whatever its size.
        operations: useful floating-point operations a second beyond that.
        epoch_end: seconds that checkpoint and curve take after each validation.
        cores: that this was measured on.
        source: where it was measured, for people.
        spread: by which factor the truth may be off, either way.
    """

    fixed: float
    operations: float
    epoch_end: float
    cores: int
    source: str
    spread: float

    def step_seconds(self, model: ModelConfig, vocabulary: int, targets: int) -> float:
        """Seconds of a step on so many targets."""
        return self.fixed + targets * useful_operations(model, vocabulary) / self.operations


@dataclass(frozen=True)
class Estimate:
    """Seconds of training: expected, at the least and at the most."""

    seconds: float
    low: float
    high: float


def tokens_of(files: Sequence[SourceFile], corpus: CorpusConfig, tokeniser: str) -> tuple[int, int]:
    """About how many tokens the training and the validation split have, from the sizes of the files."""

    def tokens(split: str) -> float:
        sizes = (file.size * (EXPANSION if file.compressed else 1) for file in files if file.split == split)
        return sum(sizes) / BYTES_PER_TOKEN[tokeniser]

    if corpus.split_by_pattern:
        return round(tokens("train")), round(tokens("valid"))
    whole = tokens("")
    valid = whole * corpus.valid_fraction
    return round(whole * (1 - corpus.test_fraction) - valid), round(valid)


def work_of(config: Config, targets: int, valid_targets: int, documents: int = 0) -> Work:
    """What there is to do for a training split of so many tokens, in so many documents."""
    train = config.train
    steps_per_epoch = max(1, train.steps_per_epoch(targets, documents))  # of a corpus of next to nothing, too
    steps = train.most_steps(steps_per_epoch)
    return Work(targets, valid_targets, steps_per_epoch, steps, train.sequences * train.targets)


def fit(record: dict[str, Any]) -> Speed:
    """The speed by a record of `throughput.toml`: least squares of the relative errors of its steps."""
    operations = useful_operations(ModelConfig(**record["model"]), record["vocabulary"])
    # seconds = fixed + slope * size, each equation divided by its seconds
    rows = [(1 / seconds, targets * operations / seconds) for targets, seconds in record["steps"]]
    aa, ab, bb = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    a, b = (sum(row[i] for row in rows) for i in (0, 1))
    slope = (aa * b - ab * a) / (aa * bb - ab * ab)
    source = f"the benchmark of {record['date']} on {record['machine']}"
    return Speed((a - slope * ab) / aa, 1 / slope, record["epoch_end"], record["cores"], source, BENCHMARK_SPREAD)


def benchmark() -> Speed:
    """The speed by the newest record."""
    return fit(tomllib.loads(_RECORDS.read_text(encoding="utf-8"))["record"][-1])


def last_run(runs: Path, speed: Speed) -> Speed | None:
    """`speed`, corrected by the steps of the newest run in the folder `runs` whose log says enough; None if none does.

    Steps are timed by the log's clock, so that time between them counts as well, but not what lies between two epochs,
    or between two processes where a run was killed.
    """
    for run in sorted(runs.glob("*/model/log.jsonl"), reverse=True):
        try:
            config = Config.load(run.parents[1] / "config.toml")
            vocabulary = read_manifest(run.parent, "model").facts["vocabulary_size"]
            records = [json.loads(line) for line in run.read_text(encoding="utf-8").splitlines()]
        except (HoplineError, OSError, ValueError, KeyError):
            continue  # of another version, or damaged: no reason not to run
        pairs = itertools.pairwise(records)
        gaps = [after["time"] - before["time"] for before, after in pairs if "loss" in before and "loss" in after]
        if len(gaps) < _FEWEST_STEPS:
            continue
        limit = _PAUSE * statistics.median(gaps)
        seconds = statistics.mean(gap for gap in gaps if gap <= limit)
        targets = config.train.sequences * config.train.targets
        factor = seconds / speed.step_seconds(config.model, vocabulary, targets)
        if factor > 0:
            source = f"the last run here, {run.parents[1].name} ({targets / seconds:,.0f} targets/s)"
            cores = usable_cpus()
            return Speed(
                speed.fixed * factor, speed.operations / factor, speed.epoch_end * factor, cores, source, RUN_SPREAD
            )
    return None


def time_of(config: Config, work: Work, vocabulary: int, speed: Speed, cores: int) -> Estimate:
    """Seconds of training on so many cores, those of all workers together."""
    model = config.model
    scoring = work.valid_targets * useful_operations(model, vocabulary) / 3 / speed.operations
    alone = work.steps * speed.step_seconds(model, vocabulary, work.step_targets)
    alone += work.validations * (scoring + speed.epoch_end)
    expected = alone * speed.cores / cores
    # More cores may be no help at all: a small model's products are not worth sharing.
    return Estimate(expected, expected / speed.spread, max(expected, alone) * speed.spread)


def describe(config: Config, runs: Path | None = None, *, cores: int | None = None, accelerators: int = 0) -> list[str]:
    """What training will cost, in lines for people; none where the corpus cannot be looked at from here.

    Args:
        config: the configuration; corpus patterns are absolute.
        runs: folder of the runs that ended on the machine that will train, if there is one.
        cores: of all workers together; None for those of this machine.
        accelerators: GPUs of all workers together.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch:
            files = source_files(config.corpus, Path(scratch))
            targets, valid_targets = tokens_of(files, config.corpus, config.preprocess.tokeniser)
    except HoplineError:
        return []  # the step that needs it will say what is wrong with it
    work = work_of(config, targets, valid_targets)
    time = "time not known: there is no benchmark on a GPU yet"
    if not accelerators:
        measured = benchmark()
        speed = (last_run(runs, measured) if runs else None) or measured
        vocabulary = config.preprocess.max_words + len(RESERVED_WORDS)
        expected = time_of(config, work, vocabulary, speed, cores or usable_cpus())
        time = f"{span(expected)}, by {speed.source}"
    most = f"at most: about {_rounded(work.steps * work.step_targets)} targets in {_rounded(work.steps)} steps"
    if minutes := config.train.minutes:
        most, time = "as many steps as fit, by the speed of the first", f"{minutes:g} minutes of training"
    workers = config.train.workers
    return [
        "estimate, if there is something to train:",
        f"  an epoch: about {_rounded(work.targets)} targets in {_rounded(work.steps_per_epoch)} steps",
        f"  {most}",
        f"  {time}",
        f"  {workers} worker{'s' * (workers > 1)}, {accelerators or 'no'} GPU{'s' * (accelerators > 1)}",
    ]


def span(time: Estimate) -> str:
    """A time of training for people, with its limits."""
    unit, seconds = ("hours", 3600) if time.seconds > 3 * 3600 else ("minutes", 60)
    expected, low, high = (f"{float(f'{value / seconds:.2g}'):,g}" for value in (time.seconds, time.low, time.high))
    return f"about {expected} {unit} of training ({low} to {high})"


def _rounded(count: int) -> str:
    """The count to two digits, as it is known no better."""
    return f"{float(f'{count:.2g}'):,.0f}"
