"""The evaluation for people: one HTML file that needs no network."""

import html
import math
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from components.evaluate.baselines import LABELS
from components.evaluate.decide import LEAST_SLICE, PROMOTE, Decision
from components.evaluate.page import NONE, bars, number, page, passage, picture, table
from components.evaluate.passages import Passage
from hopline.artifacts import Manifest, git_revision

Passages = tuple[list[Passage], list[Passage]]

_MODEL_PICTURES = (  # file of the model directory, caption
    ("curve.png", "Training of the challenger"),
    ("attention.png", "Where the challenger looks: mean attention to the words before the target, for each hop"),
)
_ROWS = (  # label, key in evaluation.json, format
    ("Perplexity, own vocabulary", "perplexity", ",.2f"),
    ("Perplexity, comparable", "comparable_perplexity", ",.2f"),
    ("Bits per character", "bits_per_character", ".4f"),
    ("Tokeniser", "tokeniser", "s"),
    ("Tokens", "tokens", ",d"),
    ("Tokens unknown to it", "unknown_tokens", ",d"),
    ("Words unknown to it", "unknown_types", ",d"),
    ("Vocabulary", "vocabulary_size", ",d"),
    ("Parameters", "parameters", ",d"),
    ("Bytes on disk", "bytes", ",d"),
    ("Milliseconds a line", "line_milliseconds", ".2f"),
)


def render(
    evaluation: Mapping[str, Any],
    decision: Decision,
    pictures: Mapping[str, bytes],
    lineage: Mapping[str, Mapping[str, str]],
    model: Path,
    passages: Passages | None = None,
    samples: str = "",
) -> str:
    """The report.

    Args:
        evaluation: the content of `evaluation.json`.
        decision: the decision.
        pictures: caption to SVG.
        lineage: of each artifact, see `lineage`.
        model: the challenger's folder, for the pictures that training drew.
        passages: where the challenger gains and where it loses most.
        samples: a section of what the challenger writes, see `components.evaluate.samples`.
    """
    parts = [
        _verdict(evaluation, decision),
        _bars(evaluation),
        _models(evaluation),
        _difference(evaluation),
        _slices(evaluation),
        _passages(passages),
        samples,
        "<h2>Pictures</h2>",
        *(picture(caption, svg, "svg+xml") for caption, svg in pictures.items()),
    ]
    drawn = ((model / name, caption) for name, caption in _MODEL_PICTURES)
    parts += [picture(caption, path.read_bytes(), "png") for path, caption in drawn if path.is_file()]
    parts.append(_lineage(lineage))
    return page(f"hopline: {decision.outcome}", parts)


def lineage(manifests: Mapping[str, Manifest]) -> dict[str, dict[str, str]]:
    """What each artifact was made of: its id, its corpus, its time, its commit and the versions of packages."""
    known = {
        name: {
            "id": manifest.id,
            "corpus fingerprint": str(manifest.facts.get("fingerprint", "")),
            "made": manifest.created,
            "git": manifest.git,
            "versions": ", ".join(f"{package} {version}" for package, version in sorted(manifest.versions.items())),
        }
        for name, manifest in manifests.items()
    }
    return {**known, "evaluation": {"git": git_revision()}}


def _verdict(evaluation: Mapping[str, Any], decision: Decision) -> str:
    reasons = "".join(f"<li>{html.escape(str(reason))}</li>" for reason in decision.reasons)
    promoted = decision.outcome == PROMOTE
    split = html.escape(str(evaluation["split"]))
    return (
        f'<section class="verdict {"promote" if promoted else "reject"}">\n'
        f"<h1>{'Promoted' if promoted else 'Rejected'}</h1>\n"
        f'<p class="why">{html.escape(decision.summary)}</p>\n'
        f"<ul>{reasons}</ul>\n</section>\n<p>Split “{split}”: {evaluation['tokens']:,} tokens in "
        f"{evaluation['documents']:,} documents, {evaluation['characters']:,} characters. Every token is scored once; "
        f"both models read the same text.</p>"
    )


def _bars(evaluation: Mapping[str, Any]) -> str:
    """Perplexities over the challenger's vocabulary, in which the baselines are scored too."""
    heights = {"challenger": evaluation["challenger"]["perplexity"]}
    same_words = evaluation["compared"]["by"] == "tokens"
    if evaluation["champion"] and same_words:
        heights["champion"] = evaluation["champion"]["perplexity"]
    baselines = {LABELS[key]: item for key, item in evaluation["baselines"].items()}
    heights |= {label: item["perplexity"] for label, item in baselines.items()}
    finite = {label: height for label, height in heights.items() if isinstance(height, int | float)}
    notes = [f"{label}: {item['note']}." for label, item in baselines.items() if item["note"]]
    champion = " The champion's is over its own vocabulary." if "champion" in heights else ""
    styles = {"challenger": "challenger", "champion": "champion"}
    drawn, axis = bars(finite, styles)
    note = (
        f"Perplexity, {axis}; lower is better. Word frequencies and n-grams are those of the training "
        f"split alone, over the challenger's vocabulary and on the same tokens.{champion} {' '.join(notes)}"
    )
    return f"<h2>Beside what the training text alone predicts</h2>\n{drawn}<p>{html.escape(note)}</p>"


def _models(evaluation: Mapping[str, Any]) -> str:
    challenger, champion = evaluation["challenger"], evaluation["champion"]
    rows = [
        [label, number(challenger[key], form), number(champion[key], form) if champion else NONE]
        for label, key, form in _ROWS
        if challenger[key] is not None
    ]
    note = (
        "<p>The comparable perplexity is that of the words as written: a word that a model does not know costs it its "
        "&lt;unk&gt; and a choice among all the words it does not know. Bits per character are counted so too.</p>"
    )
    if evaluation["compared"]["by"] != "tokens":
        note = (
            "<p>The models cut the text into different tokens, so only bits per character compare: a token that a "
            "model does not know costs it its &lt;unk&gt; and the spelling.</p>"
        )
    return "<h2>Models</h2>\n" + table(["", "challenger", "champion"], rows) + note


def _difference(evaluation: Mapping[str, Any]) -> str:
    difference = evaluation["difference"]
    if not difference:
        return "<p>There is no champion to compare with.</p>"
    ends = (difference["nll"], *difference["interval"])
    per = difference["per"]
    rows = [[f"Challenger minus champion, nats per {per}", *(number(end, "+.4f") for end in ends)]]
    if per == "token":
        rows.append(["Change in comparable perplexity", *(_change(end) for end in ends)])
    heads = ["", "of the split", f"{difference['level']:.0%} interval, from", "to"]
    rule = html.escape(evaluation["compared"]["rule"])
    margin = number(difference["margin"], "+.4f")
    note = (
        f"<p>Compared {rule}. The gain asked is shown if the interval ends below {margin} nats per {per}: the one "
        "statement that decides. It holds with confidence "
        f"<b>{number(difference['confidence'], '.3f')}</b> ({difference['observations']:,} {difference['kind']} as "
        f"observations, worth {difference['effective_observations']:,.1f} of equal size; "
        f"{difference['resamples']:,} resamples, Student's t).</p>"
    )
    return "<h2>Difference</h2>\n" + table(heads, rows) + note


def _slices(evaluation: Mapping[str, Any]) -> str:
    parts = ["<h2>Comparable perplexity by part of the split</h2>"]
    for group, items in groupby(evaluation["slices"], key=lambda item: item["group"]):
        rows = [
            [
                item["name"],
                f"{item['tokens']:,}",
                number(item["challenger_perplexity"], ",.2f"),
                number(item["champion_perplexity"], ",.2f"),
            ]
            for item in items
        ]
        parts.append(table([group, "tokens", "challenger", "champion"], rows))
    parts.append(f"<p>Fewer than {LEAST_SLICE:,} tokens say little.</p>")
    return "\n".join(parts)


def _passages(passages: Passages | None) -> str:
    if passages is None:
        return ""
    better, worse = passages
    every = [abs(difference) for item in (*better, *worse) for difference in item.differences]
    strongest = sorted(every)[int(0.95 * (len(every) - 1))] if every else 0.0  # one outlier would leave the rest pale
    parts = [
        "<h2>Where the two models differ most</h2>",
        "<p>Green words are likelier to the challenger, red ones to the champion; the stronger, the more.</p>",
    ]
    for title, shown in (("The challenger gains most here:", better), ("The challenger loses most here:", worse)):
        if shown:
            parts.append(f"<p><b>{title}</b></p>")
            parts += [passage(item.source, item.words, item.differences, strongest) for item in shown]
    return "\n".join(parts)


def _lineage(entries: Mapping[str, Mapping[str, str]]) -> str:
    rows = [[name, key, value or NONE] for name, values in entries.items() for key, value in values.items()]
    return "<h2>Where it comes from</h2>\n" + table([], rows, "text")


def _change(nats: float | str) -> str:
    """A difference in mean negative log-likelihood as a relative change of perplexity."""
    if isinstance(nats, str):
        return nats
    try:
        return f"{math.expm1(nats):+.2%}"
    except OverflowError:
        return "inf"
