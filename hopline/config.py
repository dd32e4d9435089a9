"""Configuration: one frozen dataclass per section, read from TOML and nothing else.

Global quantities are configured (the batch of all workers together), local ones are derived.
Precedence, lowest first: 1. the defaults below; 2. the file; 3. `--set section.key=value`.

A step receives its own sections as canonical JSON (`Section.to_json`, `Section.from_json`), so that
a change in one section leaves the cached results of the steps that do not read it alone.
"""

import dataclasses
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from hopline.cluster import ClusterConfig
from hopline.errors import UserError
from hopline.job import JobConfig
from hopline.schedule import ScheduleConfig
from hopline.section import Section, at_least, fraction, one_of, positive, require, unknown_key

EMBEDDED_CORPUS = "embedded:python-docs"


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Section):
    """Where the text is, what a document is, and how the splits are made.

    Splits: 1. where `valid` or `test` has a pattern, each split is what its own pattern names;
    2. otherwise the documents of `train` are cut by hash, `valid_fraction` and `test_fraction` of them.
    """

    name = "corpus"

    train: str = EMBEDDED_CORPUS  # a file, directory or glob, here or in gs:// or s3://; or the embedded corpus
    valid: str = ""
    test: str = ""
    documents: str = "file"  # a document is a "file", a paragraph ("blank-line") or a "json-line"
    text_field: str = "text"  # of a JSON line
    invalid_utf8: str = "strict"  # or "replace", by U+FFFD
    valid_fraction: float = 0.1
    test_fraction: float = 0.1

    def __post_init__(self) -> None:
        one_of("corpus.documents", self.documents, ("file", "blank-line", "json-line"))
        one_of("corpus.invalid_utf8", self.invalid_utf8, ("strict", "replace"))
        fraction("corpus.valid_fraction", self.valid_fraction)
        fraction("corpus.test_fraction", self.test_fraction)
        require(
            self.valid_fraction + self.test_fraction < 1,
            f"corpus.valid_fraction + corpus.test_fraction is {self.valid_fraction + self.test_fraction}, "
            "but must leave documents to train on",
            "make their sum less than 1",
        )
        require(self.train != "", "corpus.train is empty, but must name the training text", "set corpus.train")

    @property
    def split_by_pattern(self) -> bool:
        """Whether the splits are named by patterns rather than cut by hash."""
        return bool(self.valid or self.test)

    def absolute(self, folder: Path) -> "CorpusConfig":
        """The same section with relative paths taken from `folder`, and no `..` left in any."""

        def resolve(pattern: str) -> str:
            remote = ":" in pattern.split("/", maxsplit=1)[0]
            return pattern if not pattern or remote else os.path.normpath(folder / pattern)

        return dataclasses.replace(self, train=resolve(self.train), valid=resolve(self.valid), test=resolve(self.test))


@dataclass(frozen=True, kw_only=True)
class ResolveConfig(Section):
    """What `resolve` may decide."""

    name = "resolve"

    skip_unchanged: bool = False  # skip training when the champion was trained on this very corpus


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig(Section):
    """How text becomes tokens and shards."""

    name = "preprocess"

    # "own": counted in the training text; "champion": the champion's as it is, and max_words and min_count do not
    # apply.  Without a champion yet it is the corpus's own.
    vocabulary: str = "own"
    max_words: int = 10_000  # the most frequent words kept, reserved words not counted
    min_count: int = 1  # rarer words become <unk>
    lowercase: bool = False
    context: int = 512  # look-behind tokens at the head of a shard; the memory may be as long
    shard_bytes: int = 16 << 20  # of raw text in one shard
    max_unknown_rate: float = 0.5  # of the tokens of any split; more stops the run
    runner: str = "FnApiRunner"  # Beam's; in-process by default
    runner_options: tuple[str, ...] = ()  # passed on to Beam, such as "--region=europe-west1"

    def __post_init__(self) -> None:
        one_of("preprocess.vocabulary", self.vocabulary, ("own", "champion"))
        at_least("preprocess.max_words", self.max_words, 1)
        at_least("preprocess.min_count", self.min_count, 1)
        at_least("preprocess.context", self.context, 1)
        at_least("preprocess.shard_bytes", self.shard_bytes, 1)
        require(
            0 <= self.max_unknown_rate <= 1,
            f"preprocess.max_unknown_rate is {self.max_unknown_rate}, but is a share of all tokens",
            "set it between 0 and 1",
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """The memory network's shape (DESIGN.md, section 3)."""

    name = "model"

    width: int = 150  # E
    hops: int = 6  # K
    memory: int = 100  # M
    tie: str = "none"  # the output matrix: none, input (A), output (C), all (A = C = W)
    factor: int = 0  # F: tables are V x F times one shared F x E projection; 0 for plain V x E
    bias: bool = False  # one number per word, added to the logits
    init_stddev: float = 0.05

    def __post_init__(self) -> None:
        at_least("model.width", self.width, 2)
        at_least("model.hops", self.hops, 1)
        at_least("model.memory", self.memory, 1)
        one_of("model.tie", self.tie, ("none", "input", "output", "all"))
        at_least("model.factor", self.factor, 0)
        positive("model.init_stddev", self.init_stddev)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Section):
    """How the model is trained.  Batch sizes are those of all workers together."""

    name = "train"

    # "random", or "champion": from the champion's weights, if there is one; its vocabulary and shape must be the same.
    start: str = "random"
    seed: int = 1
    workers: int = 1
    sequences: int = 32  # sequences in the global batch
    targets: int = 100  # consecutive targets in a sequence
    sampling: str = "random"  # positions drawn with replacement (the paper), or "shuffled" without
    epochs: int = 100
    max_steps: int = 0  # stop after so many steps; 0 for no limit
    optimizer: str = "sgd"  # or "adamw"
    learning_rate: float = 1.28
    weight_decay: float = 0.0  # of AdamW
    dropout: float = 0.0  # of embedded words and of the last state
    clip_norm: float = 0.390625  # of the global gradient of the mean loss; 0 for none
    anneal: float = 1.5  # divides the learning rate when validation does not improve
    min_learning_rate: float = 1e-3  # training stops below it
    precision: str = "float32"  # or "bfloat16": mixed, the weights stay in float32
    checkpoint_seconds: float = 60.0  # between checkpoints; one is written at each epoch's end as well
    restarts: int = 3  # of all workers after one fell, without progress in between; 0 for none

    def __post_init__(self) -> None:
        for key in ("workers", "sequences", "targets", "epochs"):
            at_least(f"train.{key}", getattr(self, key), 1)
        one_of("train.start", self.start, ("random", "champion"))
        at_least("train.seed", self.seed, 0)
        at_least("train.max_steps", self.max_steps, 0)
        one_of("train.sampling", self.sampling, ("random", "shuffled"))
        one_of("train.optimizer", self.optimizer, ("sgd", "adamw"))
        one_of("train.precision", self.precision, ("float32", "bfloat16"))
        positive("train.learning_rate", self.learning_rate)
        at_least("train.weight_decay", self.weight_decay, 0)
        fraction("train.dropout", self.dropout)
        at_least("train.clip_norm", self.clip_norm, 0)
        at_least("train.anneal", self.anneal, 1)
        at_least("train.min_learning_rate", self.min_learning_rate, 0)
        at_least("train.checkpoint_seconds", self.checkpoint_seconds, 0)
        at_least("train.restarts", self.restarts, 0)
        require(
            self.sequences % self.workers == 0,
            f"train.sequences is {self.sequences}, but must divide evenly among train.workers = {self.workers}",
            f"set train.sequences to a multiple of {self.workers}",
        )

    def steps_per_epoch(self, targets: int, documents: int) -> int:
        """Updates after which every token was, or may have been, a target once (`components.train.batches`).

        Args:
            targets: tokens of the training split.
            documents: of the training split.
        """
        if self.sampling == "random":
            return -(-targets // (self.sequences * self.targets))
        # The stream has one padding a document, and a random offset cuts its first and last window short.
        windows = -(-(targets + documents) // self.targets) + 1
        return -(-windows // self.sequences)

    def most_steps(self, steps_per_epoch: int) -> int:
        """Updates at which training ends at the latest; it ends before where the learning rate is annealed away."""
        steps = self.epochs * steps_per_epoch
        return min(steps, self.max_steps) if self.max_steps else steps

    def determining(self) -> dict[str, Any]:
        """What determines the trained model: all but how the run is kept safe, which changes no number of it."""
        return {key: value for key, value in self.to_dict().items() if key not in ("checkpoint_seconds", "restarts")}


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Section):
    """What a challenger must reach."""

    name = "evaluate"

    split: str = "auto"  # "valid", "test", or "auto": test where there is one, else valid
    max_perplexity: float = 0.0  # the floor a first champion must meet as well; 0 for none
    min_gain: float = 0.001  # least relative gain in perplexity over the champion: 0.001 is a tenth of a percent
    confidence: float = 0.95  # that the challenger is better, by paired bootstrap; 0 for not asked
    block: int = 64  # consecutive tokens resampled together

    def __post_init__(self) -> None:
        one_of("evaluate.split", self.split, ("auto", "valid", "test"))
        at_least("evaluate.max_perplexity", self.max_perplexity, 0)
        fraction("evaluate.min_gain", self.min_gain)
        fraction("evaluate.confidence", self.confidence)
        at_least("evaluate.block", self.block, 1)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole configuration of a pipeline run."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    resolve: ResolveConfig = field(default_factory=ResolveConfig)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    job: JobConfig = field(default_factory=JobConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def __post_init__(self) -> None:
        require(
            self.model.memory <= self.preprocess.context,
            f"model.memory is {self.model.memory}, but a shard carries preprocess.context = "
            f"{self.preprocess.context} tokens of look-behind",
            f"set preprocess.context to {self.model.memory} or more",
        )

    @classmethod
    def load(cls, path: Path | None, overrides: Iterable[str] = ()) -> Self:
        """Reads the TOML file at `path`, if there is one, and applies `section.key=value` overrides.

        Raises:
            UserError: the file is missing or not TOML, or a section, key or value is wrong.
        """
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
        except OSError as error:
            raise UserError(
                f"cannot read the configuration {path}: {error.strerror}", remedy="pass --config with a TOML file"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not TOML: {error}", remedy="correct the file at that place") from error
        for override in overrides:
            _apply(document, override)
        return cls.from_mapping(document)

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> Self:
        """Builds the configuration from nested mappings, `{section: {key: value}}`."""
        types = {f.name: f.type for f in fields(cls)}
        sections = {}
        for name, values in document.items():
            if name not in types:
                raise unknown_key(f"[{name}]", name, types)
            require(isinstance(values, Mapping), f"{name} is not a section", f"write [{name}] and its keys below it")
            sections[name] = types[name].from_mapping(values)  # type: ignore[union-attr]
        return cls(**sections)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Every section and every key, defaults included."""
        return dataclasses.asdict(self)


def _apply(document: dict[str, Any], override: str) -> None:
    """Puts `section.key=value` into `document`; the value is TOML, or else taken as a string."""
    path, equals, text = override.partition("=")
    section, dot, key = path.strip().partition(".")
    require(
        bool(equals and dot and section and key),
        f'--set "{override}" is not of the form section.key=value',
        "write, for example, --set train.max_steps=20",
    )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    values = document.setdefault(section, {})
    require(isinstance(values, dict), f"{section} is not a section", f"write [{section}] and its keys below it")
    values[key] = value
