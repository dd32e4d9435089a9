"""The whole configuration, read from TOML and nothing else: a frozen dataclass for each section.

Global quantities are configured (the batch of all workers together), local ones are derived.
Precedence, lowest first: 1. the defaults of each section; 2. the file; 3. `--set section.key=value`.

A step receives its own sections as canonical JSON (`Section.to_json`, `Section.from_json`): a change in one section
invalidates only the steps that read it.
"""

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from hopline.config.corpus import CorpusConfig
from hopline.config.evaluate import EvaluateConfig
from hopline.config.job import JobConfig
from hopline.config.model import ModelConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.promote import PromoteConfig
from hopline.config.resolve import ResolveConfig
from hopline.config.section import require, unknown_key
from hopline.config.train import TrainConfig
from hopline.runtime.errors import UserError
from pipelines.config.cluster import ClusterConfig
from pipelines.config.schedule import ScheduleConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole configuration of a pipeline run."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    resolve: ResolveConfig = field(default_factory=ResolveConfig)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    promote: PromoteConfig = field(default_factory=PromoteConfig)
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
        self._require_splits()

    def _require_splits(self) -> None:
        """Raises `UserError`: training or evaluation would look for a split that nothing makes."""
        corpus = self.corpus
        named = {"valid": bool(corpus.valid), "test": bool(corpus.test)}
        cut = {"valid": corpus.valid_fraction > 0, "test": corpus.test_fraction > 0}
        found = named if corpus.split_by_pattern else cut
        require(
            found["valid"],
            "there is no valid split, by which training chooses the best weights",
            "set corpus.valid" if corpus.split_by_pattern else "set corpus.valid_fraction to a number above 0",
        )
        require(
            found["test"] or self.evaluate.split != "test",
            'evaluate.split is "test", but there is no test split',
            'set corpus.test (or corpus.test_fraction where corpus.valid is empty), or evaluate.split to "auto"',
        )

    @classmethod
    def load(cls, path: Path | None, overrides: Iterable[str] = ()) -> Self:
        """Reads the TOML file at `path`, if there is one, and applies `section.key=value` overrides.

        Raises:
            UserError: the file is missing or not TOML, or a section, key or value is wrong.
        """
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8-sig")) if path else {}
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
    """Puts `section.key=value` into `document`.

    1. A key that is text takes the text as it is written, unless that is a string of TOML with its quotes: a commit
    such as 12345e789012 is no number.  2. For other keys the value is TOML.  3. What is none is taken as a string.
    """
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
    if _is_text(section, key) and not isinstance(value, str):
        value = text
    values = document.setdefault(section, {})
    require(isinstance(values, dict), f"{section} is not a section", f"write [{section}] and its keys below it")
    values[key] = value


def _is_text(section: str, key: str) -> bool:
    """Whether the configuration's `section.key` is text."""
    kind = next((f.type for f in fields(Config) if f.name == section), None)
    return kind is not None and any(f.name == key and f.type is str for f in fields(kind))  # type: ignore[arg-type]
