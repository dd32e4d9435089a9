"""Scores challenger and champion on the same text, and puts the numbers together."""

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate import bootstrap, compare
from components.evaluate.baselines import Baseline, score_baselines
from components.evaluate.bootstrap import Difference, Floats
from components.evaluate.calibration import Bin, calibration
from components.evaluate.challenger import load_challenger, require_same, score_challenger
from components.evaluate.compare import Reader
from components.evaluate.decide import ScoredChallenger, ScoredChampion, SliceChange
from components.evaluate.passages import Passage, most_different
from components.evaluate.score import CHECK, TRUST, prepare_devices
from components.evaluate.scores import Scores
from components.evaluate.side import Artifact, Side
from components.evaluate.slices import Slice, slices
from components.evaluate.text import Document, read_documents
from hopline import schema
from hopline.config.evaluate import EvaluateConfig
from hopline.model.scoring import perplexity
from hopline.model.streams import TokenStream, load_stream
from hopline.runtime.process import run_step
from hopline.runtime.progress import Progress
from hopline.schema import SAVED_MODEL_FOLDER

_LATENCY_CALLS = 25


@dataclass(frozen=True)
class Measurement:
    """All that was measured on the split.

    Attributes:
        split: its name.
        documents: its documents.
        challenger: the challenger, scored.
        champion: the champion, scored; None before the first promotion.
        rule: by which rule the two compare (`compare.RULES`).
        difference: challenger minus champion.
        baselines: what the training split alone predicts.
        calibration: of the challenger.
        export_check: how far the challenger's export is from its weights.
    """

    split: str
    documents: list[Document]
    challenger: Side
    champion: Side | None
    rule: str
    difference: Difference | None
    baselines: dict[str, Baseline]
    calibration: list[Bin]
    export_check: dict[str, float]

    @property
    def token_differences(self) -> Floats | None:
        """Challenger minus champion at each token, shape (N,); None where their tokens are not the same."""
        if self.champion is None or self.rule != compare.TOKENS:
            return None
        with np.errstate(invalid="ignore"):
            return self.challenger.comparable - self.champion.comparable

    def scored(self) -> tuple[ScoredChallenger, ScoredChampion | None]:
        """The numbers that the decision is made of."""
        comparable = "comparable_perplexity" if self.rule == compare.TOKENS else "bits_per_character"

        def common(side: Side) -> dict[str, Any]:
            numbers = side.numbers
            return {
                "model_id": numbers["model_id"],
                "perplexity": numbers["perplexity"],
                "comparable": numbers[comparable],
                "unknown_rate": numbers["unknown_tokens"] / numbers["tokens"],
            }

        challenger = ScoredChallenger(
            **common(self.challenger),
            baselines=self.baselines,
            megabytes=self.challenger.numbers["bytes"] / 1e6,
            milliseconds=self.challenger.scores.milliseconds,
        )
        if self.champion is None or self.difference is None:
            return challenger, None
        champion = ScoredChampion(
            **common(self.champion), difference=self.difference, rule=self.rule, slices=self._slice_changes()
        )
        return challenger, champion

    def content(self) -> dict[str, Any]:
        """The content of `evaluation.json`; floats may be infinite or NaN still (`artifacts.json_value`)."""
        return {
            "split": self.split,
            "tokens": len(self.challenger.comparable),
            "documents": len(self.documents),
            "characters": self.challenger.characters,
            "compared": {"by": self.rule, "rule": compare.RULES[self.rule]},
            "challenger": self.challenger.numbers,
            "champion": self.champion.numbers if self.champion else None,
            "difference": self.difference and _difference_content(self.difference, self.rule),
            "baselines": {key: baseline.content() for key, baseline in self.baselines.items()},
            "slices": self._slices(),
            "calibration": [dataclasses.asdict(item) for item in self.calibration],
            "export_check": self.export_check,
        }

    def passages(self) -> tuple[list[Passage], list[Passage]] | None:
        """Where the challenger gains most and where it loses most; None where there is nothing to compare."""
        difference = self.token_differences
        if difference is None or not np.isfinite(difference).all():
            return None
        scores = self.challenger.scores
        sources = [document.source for document in self.documents]
        return most_different(difference, scores.ids, scores.surface(), scores.lengths, sources)

    @cached_property
    def _parts(self) -> list[Slice]:
        size = self.challenger.artifact.manifest.facts["vocabulary_size"]
        return slices(self.challenger.scores, self.documents, size)

    def _slices(self) -> list[dict[str, Any]]:
        champion = self.champion.comparable if self.champion and self.rule == compare.TOKENS else None
        return [
            {
                "group": part.group,
                "name": part.name,
                "tokens": int(part.mask.sum()),
                "challenger_perplexity": _perplexity_where(self.challenger.comparable, part.mask),
                "champion_perplexity": None if champion is None else _perplexity_where(champion, part.mask),
            }
            for part in self._parts
        ]

    def _slice_changes(self) -> tuple[SliceChange, ...]:
        difference = self.token_differences
        if difference is None:
            return ()
        return tuple(
            SliceChange(f"{part.group}: {part.name}", int(part.mask.sum()), float(difference[part.mask].mean()))
            for part in self._parts
            if part.mask.any()
        )


def measure(
    examples: Artifact, model: Artifact, champion: Artifact | None, *, split: str, rule: EvaluateConfig, scratch: Path
) -> Measurement:
    """Scores the challenger by its weights and by its export, the champion by its export, and the baselines.

    Args:
        examples: holds the split, as shards and as text.
        model: the challenger.
        champion: None before the first promotion.
        split: what to score.
        rule: says how the difference is judged.
        scratch: an empty folder.

    Raises:
        UserError: the split is damaged, or the champion reads another text than the challenger.
        InternalError: an export does not load, or the challenger's gives other numbers than its weights.
    """
    reader = Reader.of(model.folder, model.manifest)
    other_reader = Reader.of(champion.folder, champion.manifest) if champion else None
    compared_by = compare.choose_rule(reader, other_reader)
    prepare_devices()
    stream = load_stream(examples.folder, examples.manifest, split, least=1, scratch=scratch)
    text = examples.folder / schema.TEXT_FOLDER
    documents = read_documents(text, split)
    characters = sum(len(document.text) for document in documents)
    network = load_challenger(model.folder)
    progress = Progress("evaluate", stream.targets, "tokens", phase="challenger")
    nll = score_challenger(network, stream, progress.update)

    def side(artifact: Artifact, own: Reader, other: Reader | None, phase: str) -> Side:
        ours = artifact is model
        latency = _LATENCY_CALLS if rule.max_latency_ms and ours else 0
        scores = _score_export(artifact.folder, text, split, scratch / phase, latency_calls=latency, check=ours)
        costs, unknown = compare.unknown_costs(compared_by, scores.words, own, other, documents)
        return Side(artifact, scores, compare.comparable_nll(scores, costs), unknown, characters, own.tokeniser)

    challenger = side(model, reader, other_reader, "export")
    check = require_same(nll, stream, challenger.scores)
    # Both by their exports, in the same program: equal weights then tie exactly, and rounding cannot be a gain.
    opponent = side(champion, other_reader, reader, "champion") if champion and other_reader else None
    return Measurement(
        split=split,
        documents=documents,
        challenger=challenger,
        champion=opponent,
        rule=compared_by,
        difference=compare_sides(challenger, opponent, compared_by, documents, rule) if opponent else None,
        baselines=_baselines(examples, stream, model.manifest.facts["vocabulary_size"], scratch),
        calibration=calibration(network, stream),
        export_check=check,
    )


def compare_sides(
    challenger: Side, champion: Side, compared_by: str, documents: list[Document], rule: EvaluateConfig
) -> Difference:
    """The difference, and what can be said of it.

    Raises:
        UserError: by the rule of tokens the two models would have to read the same words, and do not.
    """
    margin = math.log1p(-rule.min_gain)  # per token
    if compared_by == compare.TOKENS:
        compare.require_same_words(challenger.scores, champion.scores)
        pairs = compare.token_pairs(challenger.comparable, champion.comparable, challenger.scores.documents)
    else:
        ours, theirs = (challenger.scores, challenger.comparable), (champion.scores, champion.comparable)
        pairs = compare.line_pairs(ours, theirs, documents)
        margin *= len(champion.comparable) / pairs.size.sum()  # per character
    return bootstrap.paired_difference(pairs, margin=margin, confidence=rule.confidence, block=rule.block)


def _baselines(examples: Artifact, stream: TokenStream, vocabulary_size: int, scratch: Path) -> dict[str, Baseline]:
    train = load_stream(examples.folder, examples.manifest, "train", least=0, scratch=scratch)
    return score_baselines(train.ids, stream.ids, vocabulary_size)


def _difference_content(difference: Difference, rule: str) -> dict[str, Any]:
    return {
        "nll": difference.mean,
        "per": "token" if rule == compare.TOKENS else "character",
        "interval": [difference.low, difference.high],
        "level": difference.level,
        "margin": difference.margin,
        "confidence": difference.confidence,
        "resamples": bootstrap.RESAMPLES,
        "observations": difference.observations,
        "effective_observations": difference.effective,
        "kind": difference.kind,
    }


def _score_export(model: Path, text: Path, split: str, work: Path, *, latency_calls: int, check: bool) -> Scores:
    """Scores by an export in a fresh process, as a server would load it; the folder `work` names what is scored."""
    output = work.with_suffix(".npz")
    arguments = {"saved-model": model / SAVED_MODEL_FOLDER, "text": text, "output": output}
    run_step(
        "components.evaluate.score",
        {
            "split": split,
            "phase": work.name,
            "signatures": CHECK if check else TRUST,
            "latency-calls": str(latency_calls),
            **{name: str(path.absolute()) for name, path in arguments.items()},
        },
        work=str(work),
    )
    return Scores.load(output)


def _perplexity_where(nll: Floats, mask: npt.NDArray[np.bool_]) -> float | None:
    return perplexity(float(nll[mask].mean())) if mask.any() else None
