"""The page of the examples: what the data contract found, then the text itself in figures and pictures.

It is made of the sealed examples and of the drift from the champion's corpus alone: the same bytes each time.
"""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.preprocess.drift import Drift
from components.preprocess.findings import Finding
from hopline.artifacts import Manifest
from hopline.runtime.pages import NONE, Cell, Markup, Series, bullets, chart, document, table
from hopline.schema import EOS, RESERVED_WORDS, UNKNOWN

_RANKS = 120  # points of a curve
_FILES = 5  # of a split that shares most with the training text
_SHOWN = 20  # words of the head and of the tail
_LEAST_DOCUMENTS = 8  # fewer make no picture of their lengths
_STYLE = (
    "<style>.tokens { color: var(--ink); } .tokens i { color: var(--bad); font-style: normal; } "
    ".tokens b { color: var(--soft); font-weight: 400; } "
    ".words { columns: 2; padding-left: 2.6rem; } .words span { color: var(--soft); }</style>"
)


def render(
    manifest: Manifest, statistics: Mapping[str, Any], words: Sequence[str], found: list[Finding], drift: Drift | None
) -> str:
    """The page.

    Args:
        manifest: of the examples.
        statistics: the content of statistics.json.
        words: the vocabulary, by id.
        found: what the contract found (`components.preprocess.findings`).
        drift: from the champion's corpus, None if there is nothing to compare with.
    """
    parts = [
        _STYLE,
        _contract(found),
        _splits(statistics),
        _drift(drift),
        _leaks(statistics),
        _frequencies(statistics),
        _lengths(statistics),
        _vocabulary(statistics, words),
        _beginnings(statistics, words),
        _origin(manifest, words),
    ]
    return document("The examples", [part for part in parts if part])


def _contract(found: list[Finding]) -> str:
    notable = [finding.notable for finding in found if finding.notable]
    summary = f"{len(notable)} worth knowing" if notable else "nothing of note"
    rows = [[finding.rule, finding.figure, _limit(finding)] for finding in found]
    lead = f'<div class="lead"><b>The data contract holds</b>: {summary}.{bullets(notable).text}</div>'
    return f"{lead}\n<h2>Its rules</h2>\n" + table(["rule", "found", "limit"], rows)


def _limit(finding: Finding) -> Cell:
    key = f"<code>{html.escape(finding.key)}</code>" if finding.key else ""
    return Markup(f"{html.escape(finding.limit) or NONE} {key}")


def _splits(statistics: Mapping[str, Any]) -> str:
    rows = [
        [
            split,
            *(f"{entry[key]:,}" for key in ("documents", "tokens", "words", "types")),
            f"{entry['type_ratio']:.1%}",
            f"{entry['unknown_rate']:.2%}",
            f"{entry['unknown_types']:,}",
        ]
        for split, entry in statistics.items()
    ]
    heads = [
        "split", "documents", "tokens", "words", "different", "different of all", "unknown", "different unknown",
    ]  # fmt: skip
    note = "<p>Line ends are tokens and no words; unknown is a share of the words.</p>"
    return "<h2>Splits</h2>\n" + table(heads, rows) + note


def _drift(drift: Drift | None) -> str:
    if drift is None:
        text = "There is no champion of another corpus to compare with."
        return f"<h2>Drift</h2>\n<p>{text}</p>"
    rows = [
        [
            measure.name,
            NONE if measure.distance is None else f"{measure.distance:.4f}",
            NONE if measure.distance is None else f"{measure.chance:.4f}",
            measure.label,
        ]
        for measure in drift.measures
    ]
    parts = [f"<h2>Drift from the corpus of champion {drift.version}</h2>"]
    parts += [table(["measure", "distance (0 to 1)", "by chance", "before and now"], rows)]
    if drift.changed:
        changed = [[item.word, f"{item.before:,.0f}", f"{item.now:,.0f}"] for item in drift.changed]
        parts += [
            "<h2>Words that changed most, of a million</h2>",
            table(["word", "champion's", "this corpus"], changed),
        ]
    return "\n".join(parts)


def _leaks(statistics: Mapping[str, Any]) -> str:
    rows = [
        [split, file["file"], file["in"], f"{file['share']:.1%}", f"{file['documents']:,}"]
        for split, entry in statistics.items()
        for file in entry.get("in_training", {}).get("files", ())[:_FILES]
    ]
    if not rows:
        return "<h2>Held-out text in the training text</h2>\n<p>No passage and no document is in both.</p>"
    heads = ["split", "file", "training file with most of it", "of its long passages", "whole documents"]
    return "<h2>Held-out text in the training text</h2>\n" + table(heads, rows)


def _frequencies(statistics: Mapping[str, Any]) -> str:
    series = []
    for colour, (split, entry) in enumerate(statistics.items()):
        counts = np.array(entry["word_counts"][len(RESERVED_WORDS) :], np.float64)
        counts = np.sort(counts[counts > 0])[::-1] * (1_000 / max(entry["words"], 1))
        if not len(counts):
            continue
        ranks = np.unique(np.geomspace(1, len(counts), _RANKS).astype(int))
        series.append(Series(split, [(float(rank), float(counts[rank - 1])) for rank in ranks], colour=colour))
        if split == "train":
            ends = (1.0, float(len(counts)))
            law = [(rank, float(counts[0]) / rank) for rank in ends]
            series.insert(0, Series("Zipf's law", law, dashed=True, faint=True, colour=7))
    caption = "How often a word occurs in a thousand words, by its rank in the split; unknown words are left out"
    return "<h2>Frequencies</h2>\n" + chart(series, caption=caption, x_label="rank", log_x=True)


def _lengths(statistics: Mapping[str, Any]) -> str:
    columns = ("min", "p10", "p50", "p90", "p99", "max")
    rows = [
        [split, *(f"{entry['document_tokens'].get(name, 0):,}" for name in columns)]
        for split, entry in statistics.items()
    ]
    parts = ["<h2>Document lengths</h2>", table(["split", *columns], rows)]
    series = [
        Series(split, [(float(length), float(count)) for length, count in entry["length_histogram"]], colour=colour)
        for colour, (split, entry) in enumerate(statistics.items())
        if entry["documents"] >= _LEAST_DOCUMENTS
    ]
    caption = "Documents by length; a point is a fifth of its length wide"
    parts.append(chart(series, caption=caption, x_label="tokens", log_x=True))
    far = [
        [split, item["document"], f"{item['tokens']:,}", f"{item['tokens'] / entry['length_outliers']['median']:,.0f}"]
        for split, entry in statistics.items()
        for item in entry["length_outliers"].get("longest", ())
    ]
    if far:
        parts += [
            "<h2>Documents far longer than the others</h2>",
            table(["split", "document", "tokens", "times the median"], far),
        ]
    return "\n".join(parts)


def _vocabulary(statistics: Mapping[str, Any], words: Sequence[str]) -> str:
    counts, total = statistics["train"]["word_counts"], max(statistics["train"]["words"], 1)
    first = len(RESERVED_WORDS)

    def listed(ids: range) -> str:
        items = "".join(
            f"<li>{html.escape(words[number])} <span>{counts[number]:,} ({counts[number] / total:.2%})</span></li>"
            for number in ids
        )
        return f'<ol class="words" start="{ids.start}">{items}</ol>'

    size = len(words)
    parts = [
        "<h2>Vocabulary</h2>",
        f"<p>{size:,} words with {', '.join(html.escape(word) for word in RESERVED_WORDS)}; numbered by id, with how "
        "often each occurs in the training text. First the head:</p>",
        listed(range(first, min(first + _SHOWN, size))),
    ]
    if size > first + _SHOWN:
        parts += ["<p>And the tail:</p>", listed(range(max(first + _SHOWN, size - _SHOWN), size))]
    return "\n".join(parts)


def _beginnings(statistics: Mapping[str, Any], words: Sequence[str]) -> str:
    parts = ["<h2>First sequences, decoded</h2>"]
    for split, entry in statistics.items():
        for beginning in entry["beginnings"]:
            parts.append(f"<p>{html.escape(split)}: {html.escape(beginning['document'])}</p>")
            parts.append(f'<p class="tokens">{_decoded(beginning["ids"], words)}</p>')
    return "\n".join(parts)


def _decoded(ids: Sequence[int], words: Sequence[str]) -> str:
    marks = {UNKNOWN: f"<i>{html.escape(RESERVED_WORDS[UNKNOWN])}</i>", EOS: "<b>\N{RETURN SYMBOL}</b><br>"}
    return " ".join(marks.get(number, html.escape(words[number])) for number in ids)


_HOW = ("runner", "runner_options")  # keys that change how the examples are made, and nothing of them


def _origin(manifest: Manifest, words: Sequence[str]) -> str:
    rows = [["corpus fingerprint", str(manifest.facts["fingerprint"])]]
    rows += [["vocabulary of model", model] for name, model in manifest.parents.items() if name == "vocabulary"]
    rows += [["vocabulary", f"{len(words):,} words"]]
    rows += [
        [f"{section}.{key}", str(value)]
        for section, values in manifest.config.items()
        for key, value in values.items()
        if value != "" and key not in _HOW
    ]
    return "<h2>Where they come from</h2>\n" + table(["", ""], rows)
