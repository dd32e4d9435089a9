"""The record of an evaluation in its log, so that runs on a cluster can be put side by side (`hopline compare`).

Their artifacts lie in a store that the person who compares may have no key to; the logs are the server's.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hopline.artifacts import read_manifest
from hopline.schema import MODEL

_POINTS = 40  # of a curve: a line of a log is cut at 16 KiB
_MODEL = ("parameters", "vocabulary_size", "steps", "ended")
_CHALLENGER = ("perplexity", "comparable_perplexity", "bits_per_character")
_SLICE = ("group", "name", "challenger_perplexity")
_STEP = ("step", "epoch", "loss", "targets_per_second", "time")
_VALIDATION = ("step", "epoch", "valid_loss", "time")


def summary(model: Path, evaluation: Path) -> dict[str, Any]:
    """The numbers and curves of a run, in the form that its files have, but with few points.

    Args:
        model: folder of the challenger.
        evaluation: folder of its evaluation.
    """
    content = json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))
    log = model / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    records = [json.loads(line) for line in lines]
    validations = [record for record in records if "valid_loss" in record]
    best = min(validations, key=lambda record: record["valid_loss"], default=None)
    return {
        "model": _only(_MODEL, read_manifest(model, MODEL).facts),
        "content": {
            "challenger": _only(_CHALLENGER, content.get("challenger", {})),
            "slices": [_only(_SLICE, item) for item in content.get("slices", [])],
        },
        "steps": [_only(_STEP, record) for record in _spread([record for record in records if "loss" in record])],
        "validations": [_only(_VALIDATION, record) for record in _spread(validations, best)],
    }


def _only(names: Sequence[str], record: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: record[name] for name in names if name in record}
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in found.items()}


def _spread(records: list[dict[str, Any]], kept: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """`_POINTS` of the records at most, evenly spread, the first and the last among them, and `kept`."""
    last = len(records) - 1
    if last < _POINTS:
        return records
    places = {round(place * last / (_POINTS - 1)) for place in range(_POINTS)}
    return [record for place, record in enumerate(records) if place in places or record is kept]
