"""Requests to the programs of `components.use`: the contract between a command and its child, which has TensorFlow."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hopline.artifacts import read_manifest
from hopline.schema import MODEL
from hopline.use.cache import CacheConfig
from hopline.use.locate import Located

T = TypeVar("T", bound="Request")

PER = ("document", "line", "word")
FORMATS = ("table", "json", "kenlm", "srilm", "tsv")
CONTEXTS = ("document", "line")


@dataclass(frozen=True, kw_only=True)
class Request:
    """The model, and in subclasses what to do with it.

    Attributes:
        folder: of the model, on this machine.
        version: in its registry; None for a model folder.
        place: path or URI that the model is called by in messages.
    """

    folder: str
    version: int | None
    place: str

    @property
    def located(self) -> Located:
        """The model."""
        folder = Path(self.folder)
        return Located(folder, read_manifest(folder, MODEL), self.version, self.place)

    def to_json(self) -> str:
        """The request as one argument of a command line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls: type[T], text: str) -> T:
        """What `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class CachingRequest(Request):
    """One that a neural cache may help.

    Attributes:
        cache: fields of `CacheConfig`, or None for no neural cache.
    """

    cache: dict[str, Any] | None

    @property
    def cache_config(self) -> CacheConfig | None:
        """The neural cache, if one is wanted."""
        return CacheConfig(**self.cache) if self.cache else None


@dataclass(frozen=True, kw_only=True)
class ScoreRequest(CachingRequest):
    """`hopline score`.

    Attributes:
        files: paths; none for standard input.
        per: one of PER.
        format: one of FORMATS.
        context: "document": words see those of the lines before; "line": each line is a text by itself.
        attention: shows where the hops look, in place of the scores.
    """

    files: list[str]
    per: str
    format: str
    context: str
    attention: bool


@dataclass(frozen=True, kw_only=True)
class GenerateRequest(CachingRequest):
    """`hopline generate`: `Model.generate`, and whether the text is printed with its continuation."""

    text: str
    tokens: int
    n: int
    temperature: float
    top_k: int
    top_p: float
    seed: int
    stop: list[str]
    unknown: bool
    json: bool


@dataclass(frozen=True, kw_only=True)
class RescoreRequest(Request):
    """`hopline rescore`.

    Attributes:
        file: path of the n-best list; "-" for standard input.
        lm_weight: what a hypothesis's log-probability is multiplied with before its own score is added.
        word_score: what each word adds.
    """

    file: str
    lm_weight: float
    word_score: float


@dataclass(frozen=True, kw_only=True)
class ServeRequest(Request):
    """`hopline serve`.

    Attributes:
        host: address to listen on.
        port: 0 for any that is free.
        name: of the model in URLs.
        champion: whether the model is the champion, so that this label is its.
        max_body: bytes of a request at most.
        max_tokens: words of an answer at most.
        timeout: seconds that an answer may take.
    """

    host: str
    port: int
    name: str
    champion: bool
    max_body: int
    max_tokens: int
    timeout: float
