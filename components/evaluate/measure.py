"""Scores challenger and champion on the same tokens, and puts the numbers together."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate import compare
from components.evaluate.challenger import require_same, score_challenger
from components.evaluate.decide import Scored, ScoredChampion
from components.evaluate.score import prepare_devices
from components.evaluate.scores import Scores
from components.evaluate.text import read_documents
from hopline import schema
from hopline.artifacts import Manifest
from hopline.model.scoring import perplexity
from hopline.model.streams import load_stream
from hopline.runtime.errors import UserError
from hopline.runtime.process import run_step
from hopline.runtime.progress import Progress
from hopline.schema import SAVED_MODEL_FOLDER


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
        nll: shape (N,), in nats, `<unk>` being one word.
        ids: shape (N,), in the model's vocabulary.
        unknown_types: how many words of the universe the model does not know (`compare`).
    """

    artifact: Artifact
    nll: npt.NDArray[np.float32]
    ids: npt.NDArray[np.integer]
    unknown_types: int

    @property
    def comparable(self) -> compare.Floats:
        """Shape (N,), in nats, of the words as written."""
        return compare.comparable_nll(self.nll, self.ids, self.unknown_types)

    def numbers(self, characters: int) -> dict[str, Any]:
        """What `evaluation.json` says of the model; bits per character are those of the words as written."""
        own, comparable = float(self.nll.mean(dtype=np.float64)), float(self.comparable.mean())
        manifest = self.artifact.manifest
        return {
            "model_id": manifest.id,
            "nll": own,
            "perplexity": perplexity(own),
            "comparable_nll": comparable,
            "comparable_perplexity": perplexity(comparable),
            "bits_per_character": comparable * len(self.nll) / math.log(2) / characters,
            "unknown_tokens": int(np.count_nonzero(self.ids == schema.UNKNOWN)),
            "unknown_types": self.unknown_types,
            "vocabulary_size": manifest.facts["vocabulary_size"],
            "parameters": manifest.facts["parameters"],
            "bytes": sum(file.stat().st_size for file in self.artifact.folder.rglob("*") if file.is_file()),
        }


@dataclass(frozen=True)
class Measurement:
    """All that was measured on the split."""

    split: str
    documents: int
    characters: int
    challenger: Side
    champion: Side | None
    difference: compare.Difference | None
    export_check: dict[str, float]

    def scored(self) -> tuple[Scored, ScoredChampion | None]:
        """The numbers that the decision is made of."""
        challenger = self.challenger.numbers(self.characters)
        scored = Scored(challenger["model_id"], challenger["perplexity"], challenger["comparable_perplexity"])
        if self.champion is None or self.difference is None:
            return scored, None
        champion = self.champion.numbers(self.characters)
        return scored, ScoredChampion(
            champion["model_id"], champion["perplexity"], champion["comparable_perplexity"], self.difference.better
        )

    def content(self) -> dict[str, Any]:
        """The content of `evaluation.json`; floats may be infinite or NaN still (`plain`)."""
        difference = self.difference
        return {
            "split": self.split,
            "tokens": len(self.challenger.nll),
            "documents": self.documents,
            "characters": self.characters,
            "challenger": self.challenger.numbers(self.characters),
            "champion": self.champion.numbers(self.characters) if self.champion else None,
            "difference": difference
            and {
                "nll": difference.mean,
                "interval": [difference.low, difference.high],
                "level": compare.INTERVAL,
                "better": difference.better,
                "resamples": compare.RESAMPLES,
                "block": difference.block,
            },
            "slices": self._slices(),
            "export_check": self.export_check,
        }

    def _slices(self) -> list[dict[str, Any]]:
        masks = compare.slice_masks(self.challenger.ids, self.challenger.artifact.manifest.facts["vocabulary_size"])
        return [
            {
                "name": name,
                "rule": compare.SLICES[name],
                "tokens": int(mask.sum()),
                "challenger_perplexity": _perplexity_where(self.challenger, mask),
                "champion_perplexity": _perplexity_where(self.champion, mask) if self.champion else None,
            }
            for name, mask in masks.items()
        ]


def measure(
    examples: Artifact, model: Artifact, champion: Artifact | None, *, split: str, block: int, scratch: Path
) -> Measurement:
    """Scores the challenger by its weights and by its export, and the champion by its export.

    Args:
        examples: holds the split, as shards and as text.
        model: the challenger.
        champion: None before the first promotion.
        split: what to score.
        block: consecutive tokens that the bootstrap resamples together.
        scratch: an empty folder.

    Raises:
        UserError: the split is damaged, or the champion cuts text into other words.
        InternalError: an export does not load, or the challenger's gives other numbers than its weights.
    """
    prepare_devices()
    stream = load_stream(examples.folder, examples.manifest, split, least=1)
    progress = Progress("evaluate", stream.targets, "tokens", phase="challenger")
    nll = score_challenger(model.folder, stream, progress.update)
    text = examples.folder / schema.TEXT_FOLDER
    exported = _score_export(model.folder, text, split, scratch=scratch, phase="export")
    check = require_same(nll, stream, exported)

    vocabulary = (examples.folder / schema.VOCABULARY_FILE).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    known = frozenset(vocabulary[schema.UNKNOWN + 1 :])
    types = sorted(known.union(exported.words))  # K_1 + S, in the terms of `compare`
    unknown_types, other = len(types) - len(known), None
    if champion is not None:
        words = scratch / "words.txt"
        words.write_text("\n".join(types), encoding="utf-8")
        scores = _score_export(champion.folder, text, split, scratch=scratch, phase="champion", words=words)
        require_same_words(exported, scores)
        other_size = champion.manifest.facts["vocabulary_size"] - schema.UNKNOWN - 1
        unknown_types, unknown_to_champion = compare.unknown_types(len(known), scores.looked_up, other_size)
        other = Side(champion, scores.nll, scores.ids, unknown_to_champion)
    # Both by their exports, in the same program: equal weights then tie exactly, and rounding cannot be a gain.
    side = Side(model, exported.nll, exported.ids, unknown_types)
    difference = compare.paired_difference(side.comparable, other.comparable, block) if other else None
    documents = read_documents(text, split)
    return Measurement(split, len(documents), sum(map(len, documents)), side, other, difference, check)


def plain(value: Any) -> Any:
    """`value` with every float that JSON cannot hold as one of the strings "nan", "inf" and "-inf"."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _score_export(
    model: Path, text: Path, split: str, *, scratch: Path, phase: str, words: Path | None = None
) -> Scores:
    """Scores by an export in a fresh process, as a server would load it."""
    output = scratch / f"{phase}.npz"
    arguments = {"saved-model": model / SAVED_MODEL_FOLDER, "text": text, "output": output}
    if words:
        arguments["words"] = words
    run_step(
        "components.evaluate.score",
        {"split": split, "phase": phase, **{name: str(path.absolute()) for name, path in arguments.items()}},
        work=str(scratch / phase),
    )
    return Scores.load(output)


def require_same_words(challenger: Scores, champion: Scores) -> None:
    """Scores pair only where both models read the same words.

    Raises:
        UserError: they do not; the message shows the first that differs.
    """
    ours, theirs = challenger.surface(), champion.surface()
    if ours == theirs:
        return
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
    where = (
        f"{len(ours):,} and {len(theirs):,} tokens"
        if place is None
        else f"token {place:,} is {ours[place]!r} to the challenger and {theirs[place]!r} to the champion"
    )
    raise UserError(
        f"challenger and champion cut the same text into different words ({where}), so their scores do not compare",
        remedy="keep preprocess.lowercase as the champion had it, or use another --output with a registry of its own",
    )


def _perplexity_where(side: Side, mask: npt.NDArray[np.bool_]) -> float | None:
    return perplexity(float(side.comparable[mask].mean())) if mask.any() else None
