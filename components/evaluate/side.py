"""One of the two models of an evaluation, scored."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from components.evaluate.bootstrap import Floats
from components.evaluate.scores import Scores
from hopline import schema
from hopline.artifacts import Manifest
from hopline.model.scoring import perplexity


@dataclass(frozen=True)
class Artifact:
    """A sealed directory and its manifest."""

    folder: Path
    manifest: Manifest


@dataclass(frozen=True)
class Side:
    """One of the two models, scored.

    Attributes:
        artifact: the model.
        scores: of its N tokens.
        comparable: shape (N,), in nats, of the words as written (`compare`).
        unknown_types: how many words of the universe, or of the split, the model does not know (`compare`).
        characters: of the split.
        tokeniser: the name of its tokeniser.
    """

    artifact: Artifact
    scores: Scores
    comparable: Floats
    unknown_types: int
    characters: int
    tokeniser: str = "whitespace"

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """What `evaluation.json` says of the model; bits per character are those of the words as written."""
        with np.errstate(invalid="ignore", over="ignore"):
            own, comparable = float(self.scores.nll.mean(dtype=np.float64)), float(self.comparable.mean())
        manifest = self.artifact.manifest
        return {
            "model_id": manifest.id,
            "tokeniser": self.tokeniser,
            "tokens": len(self.comparable),
            "nll": own,
            "perplexity": perplexity(own),
            "comparable_nll": comparable,
            "comparable_perplexity": perplexity(comparable),
            "bits_per_character": comparable * len(self.comparable) / math.log(2) / self.characters,
            "unknown_tokens": int(np.count_nonzero(self.scores.ids == schema.UNKNOWN)),
            "unknown_types": self.unknown_types,
            "vocabulary_size": manifest.facts["vocabulary_size"],
            "parameters": manifest.facts["parameters"],
            "bytes": sum(file.stat().st_size for file in self.artifact.folder.rglob("*") if file.is_file()),
            "line_milliseconds": None if math.isnan(self.scores.milliseconds) else self.scores.milliseconds,
        }
