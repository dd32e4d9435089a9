"""Runs side by side: what differs in their configurations, what they reached, how fast, and their curves."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hopline.registry.card import baseline_label, baselines
from hopline.runtime.pages import NONE, Series, chart, document, means, table
from pipelines.run_records import RunRecord
from pipelines.tables import text_table

_BARS = "▁▂▃▄▅▆▇█"
_SPARKS = 16  # characters of a curve in the terminal
_MEANS = 60  # points of a training curve, which is all noise from step to step


@dataclass(frozen=True)
class Part:
    """A table of the comparison: a row's name and a value for each run; None where there is none."""

    title: str
    rows: Sequence[tuple[str, Sequence[Any]]]


def compare(runs: Sequence[RunRecord]) -> list[Part]:
    """The tables: what differs in the configurations, numbers, perplexity by kind of word, and speed."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    values = {key: [run.config.get(key) for run in runs] for key in keys}
    different = [(key, row) for key, row in values.items() if any(value != row[0] for value in row)]
    return [
        Part("configuration, where it differs", different),
        Part("numbers", _rows(runs, {**_NUMBERS, **_baseline_rows(runs)})),
        Part("comparable perplexity by kind of word", _rows(runs, _slice_rows(runs))),
        Part("speed", _rows(runs, _SPEED)),
    ]


def as_text(runs: Sequence[RunRecord], parts: Sequence[Part]) -> str:
    """The comparison for a terminal."""
    heads = ["", *(run.name for run in runs)]
    blocks = [
        f"{part.title}:\n" + text_table(heads, [[name, *map(_shown, row)] for name, row in part.rows])
        for part in parts
        if part.rows
    ]
    if not parts[0].rows:
        blocks.insert(0, f"{parts[0].title}: nowhere")
    curves = [[run.name, sparks] for run, sparks in zip(runs, _sparks(runs), strict=True) if sparks]
    if curves:
        blocks.append("validation perplexity, one scale for all:\n" + text_table(["", ""], curves))
    return "\n\n".join(blocks)


def as_page(runs: Sequence[RunRecord], parts: Sequence[Part]) -> str:
    """The comparison as a self-contained page."""
    heads = ["", *(run.name for run in runs)]
    validation = [
        Series(run.name, [(_epoch(record), _exp(record["valid_loss"])) for record in run.validations], colour=number)
        for number, run in enumerate(runs)
    ]
    training = [
        Series(
            "",
            means([(_epoch(record), _exp(record["loss"])) for record in run.steps], _MEANS),
            faint=True,
            colour=number,
        )
        for number, run in enumerate(runs)
    ]
    caption = "Perplexity: validation, and behind it, faintly, training, whose points are means of neighbouring steps."
    drawn = chart([*training, *validation], caption=caption, x_label="epoch")
    blocks = []
    for part in parts:
        rows = [[name, *(_shown(value) or NONE for value in row)] for name, row in part.rows]
        body = table(heads, rows) if rows else "<p>Nothing.</p>"
        blocks.append(f"<h2>{part.title.capitalize()}</h2>\n{body}")
    return document(f"{len(runs)} runs", [*blocks[:2], f"<h2>Curves</h2>\n{drawn}" if drawn else "", *blocks[2:]])


def as_json(runs: Sequence[RunRecord], parts: Sequence[Part]) -> dict[str, Any]:
    """The comparison as plain values, which JSON can hold."""
    tables = {
        part.title: {name: dict(zip(_names(runs), row, strict=True)) for name, row in part.rows} for part in parts
    }
    return {"runs": _names(runs), "tables": tables}


def _names(runs: Sequence[RunRecord]) -> list[str]:
    return [run.name for run in runs]


_Row = Callable[[RunRecord], Any]


def _rows(runs: Sequence[RunRecord], wanted: Mapping[str, _Row]) -> list[tuple[str, list[Any]]]:
    """The rows that have a value for a run at least."""
    rows = [(name, [read(run) for run in runs]) for name, read in wanted.items()]
    return [(name, row) for name, row in rows if any(value is not None for value in row)]


def _result(run: RunRecord) -> str:
    if run.state:
        return run.state
    return {"promote": "promoted", "reject": "rejected"}.get(run.evaluation.get("decision", ""), "nothing trained")


def _challenger(key: str) -> _Row:
    return lambda run: run.content.get("challenger", {}).get(key)


def _best(run: RunRecord) -> Mapping[str, Any] | None:
    return min(run.validations, key=lambda record: record["valid_loss"], default=None)


def _best_perplexity(run: RunRecord) -> float | None:
    best = _best(run)
    return _exp(best["valid_loss"]) if best else None


def _best_epoch(run: RunRecord) -> float | None:
    best = _best(run)
    return _epoch(best) if best else None


def _seconds(run: RunRecord) -> float | None:
    """From the end of the first step to the end of training."""
    times = [record["time"] for record in (*run.steps, *run.validations) if "time" in record]
    return round(max(times) - min(times), 1) if len(times) > 1 else None


def _targets_per_second(run: RunRecord) -> float | None:
    speeds = [record["targets_per_second"] for record in run.steps if "targets_per_second" in record]
    return round(statistics.median(speeds)) if speeds else None


_NUMBERS: dict[str, _Row] = {
    "result": _result,
    "split": lambda run: run.evaluation.get("split"),
    "perplexity": _challenger("perplexity"),
    "comparable perplexity": _challenger("comparable_perplexity"),
    "bits per character": _challenger("bits_per_character"),
    "best validation perplexity": _best_perplexity,
    "after epoch": _best_epoch,
    "parameters": lambda run: run.model.get("parameters"),
    "vocabulary": lambda run: run.model.get("vocabulary_size"),
    "steps": lambda run: run.model.get("steps"),
    "ended": lambda run: run.model.get("ended"),
}
_SPEED: dict[str, _Row] = {"targets/s, median": _targets_per_second, "seconds of training": _seconds}


def _baseline_rows(runs: Sequence[RunRecord]) -> dict[str, _Row]:
    found = [baselines(run.content.get("metrics") or {}, run.content, run.evaluation) for run in runs]
    by_run = dict(zip(map(id, runs), found, strict=True))

    def row(name: str) -> _Row:
        return lambda run: by_run[id(run)].get(name)

    return {
        f"baseline: {baseline_label(name)}": row(name)
        for name in dict.fromkeys(name for item in found for name in item)
    }


def _slice_rows(runs: Sequence[RunRecord]) -> dict[str, _Row]:
    def row(name: str) -> _Row:
        return lambda run: _slices(run).get(name)

    return {name: row(name) for name in dict.fromkeys(name for run in runs for name in _slices(run))}


def _slices(run: RunRecord) -> dict[str, Any]:
    """Perplexity by kind of word: "group: name", or the name alone in an evaluation of older code."""
    found = run.content.get("slices") or ()
    return {
        ": ".join(item[key] for key in ("group", "name") if key in item): item.get("challenger_perplexity")
        for item in found
    }


def _sparks(runs: Sequence[RunRecord]) -> list[str]:
    """Each run's validation losses as bars, "" where there are none."""
    losses = [[record["valid_loss"] for record in run.validations] for run in runs]
    every = [loss for row in losses for loss in row]
    if not every:
        return [""] * len(runs)
    low, span = min(every), (max(every) - min(every)) or 1.0

    def bar(loss: float) -> str:
        return _BARS[min(len(_BARS) - 1, int((loss - low) / span * len(_BARS)))]

    return ["".join(bar(row[index * len(row) // min(len(row), _SPARKS)]) for index in range(min(len(row), _SPARKS)))
            for row in losses]  # fmt: skip


def _epoch(record: Mapping[str, Any]) -> float:
    return float(record.get("epoch", record["step"]))


def _exp(nats: float) -> float:
    return math.exp(min(nats, 50.0))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4g}"
    return f"{value:,}" if type(value) is int else str(value)
