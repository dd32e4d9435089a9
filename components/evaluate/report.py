"""The evaluation for people: one HTML file that needs no network."""

import base64
import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.evaluate.decide import PROMOTE, Decision
from hopline.artifacts import Manifest, git_revision

_MODEL_PICTURES = (  # file of the model directory, caption
    ("curve.png", "Training of the challenger"),
    ("attention.png", "Where the challenger looks: mean attention to the words before the target, for each hop"),
)
_NONE = "\N{EN DASH}"
_STYLE = """
:root { color-scheme: light; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --yes: #1a7f37; --no: #b35900; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 880px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.verdict { border-left: 6px solid var(--colour); background: #f6f8fa; padding: 1rem 1.3rem; border-radius: 4px; }
.verdict strong { color: var(--colour); text-transform: uppercase; letter-spacing: .04em; }
.verdict ul { margin: .6rem 0 0; padding-left: 1.2rem; }
.promote { --colour: var(--yes); } .reject { --colour: var(--no); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .7rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); }
.text td { text-align: left; vertical-align: top; } .text td:last-child { overflow-wrap: anywhere; }
td code { font-size: .85rem; } p, figcaption { color: var(--soft); } figcaption { font-size: .9rem; }
figure { margin: 1rem 0; } img { width: 100%; }
"""
_ROWS = (  # label, key in evaluation.json, format
    ("Perplexity, own vocabulary", "perplexity", ",.2f"),
    ("Perplexity, comparable", "comparable_perplexity", ",.2f"),
    ("Bits per character", "bits_per_character", ".4f"),
    ("Tokens unknown to it", "unknown_tokens", ",d"),
    ("Words unknown to it", "unknown_types", ",d"),
    ("Vocabulary", "vocabulary_size", ",d"),
    ("Parameters", "parameters", ",d"),
    ("Bytes on disk", "bytes", ",d"),
)


def render(
    evaluation: Mapping[str, Any],
    decision: Decision,
    pictures: Mapping[str, bytes],
    lineage: Mapping[str, Mapping[str, str]],
    model: Path,
) -> str:
    """The report.

    Args:
        evaluation: the content of `evaluation.json`.
        decision: the decision.
        pictures: caption to SVG.
        lineage: of each artifact, see `lineage`.
        model: the challenger's folder, for the pictures that training drew.
    """
    parts = [
        _verdict(evaluation, decision),
        _perplexities(evaluation),
        _slices(evaluation),
        "<h2>Pictures</h2>",
        *(_picture(caption, svg, "svg+xml") for caption, svg in pictures.items()),
    ]
    drawn = ((model / name, caption) for name, caption in _MODEL_PICTURES)
    parts += [_picture(caption, path.read_bytes(), "png") for path, caption in drawn if path.is_file()]
    parts.append(_lineage(lineage))
    title = html.escape(f"hopline: {decision.outcome}")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        "<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def lineage(manifests: Mapping[str, Manifest]) -> dict[str, dict[str, str]]:
    """What each artifact is and where it comes from, and the evaluator's own revision."""
    known = {
        name: {
            "id": manifest.id,
            "corpus": str(manifest.facts["fingerprint"]),
            "git": manifest.git,
            "versions": ", ".join(f"{package} {version}" for package, version in sorted(manifest.versions.items())),
        }
        for name, manifest in manifests.items()
    }
    return {**known, "evaluation": {"git": git_revision()}}


def _verdict(evaluation: Mapping[str, Any], decision: Decision) -> str:
    reasons = "".join(f"<li>{html.escape(str(reason))}</li>" for reason in decision.reasons)
    style = "promote" if decision.outcome == PROMOTE else "reject"
    split = html.escape(str(evaluation["split"]))
    return (
        f'<section class="verdict {style}">\n<h1>Decision: <strong>{html.escape(decision.outcome)}</strong></h1>\n'
        f"<ul>{reasons}</ul>\n</section>\n<p>Split “{split}”: {evaluation['tokens']:,} tokens in "
        f"{evaluation['documents']:,} documents, {evaluation['characters']:,} characters. Every token is scored once; "
        f"both models read the same text.</p>"
    )


def _perplexities(evaluation: Mapping[str, Any]) -> str:
    challenger, champion = evaluation["challenger"], evaluation["champion"]
    rows = [
        [label, _number(challenger[key], form), _number(champion[key], form) if champion else _NONE]
        for label, key, form in _ROWS
    ]
    note = (
        "<p>The comparable perplexity is that of the words as written: a word that a model does not know costs it its "
        "&lt;unk&gt; and a choice among all the words it does not know. Bits per character are counted so too.</p>"
    )
    return "<h2>Models</h2>\n" + _table(["", "challenger", "champion"], rows) + note + _difference(evaluation)


def _difference(evaluation: Mapping[str, Any]) -> str:
    difference = evaluation["difference"]
    if not difference:
        return "<p>There is no champion to compare with.</p>"
    low, high = difference["interval"]
    rows = [
        [
            "Challenger minus champion, nats per token",
            *(_number(end, "+.4f") for end in (difference["nll"], low, high)),
        ],
        ["Change in comparable perplexity", *(_change(end) for end in (difference["nll"], low, high))],
    ]
    ends = [f"{difference['level']:.0%} interval, from", "to"]
    note = (
        f"<p>The challenger is better with probability <b>{_number(difference['better'], '.3f')}</b> (paired "
        f"bootstrap, {difference['resamples']:,} resamples of blocks of {difference['block']} tokens).</p>"
    )
    return "<h2>Difference</h2>\n" + _table(["", "of all tokens", *ends], rows) + note


def _slices(evaluation: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{item['name']}: {item['rule']}",
            f"{item['tokens']:,}",
            _number(item["challenger_perplexity"], ",.2f"),
            _number(item["champion_perplexity"], ",.2f"),
        ]
        for item in evaluation["slices"]
    ]
    return "<h2>Comparable perplexity by kind of word</h2>\n" + _table(
        ["words", "tokens", "challenger", "champion"], rows
    )


def _lineage(entries: Mapping[str, Mapping[str, str]]) -> str:
    cells = ((name, key, value or _NONE) for name, values in entries.items() for key, value in values.items())
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(key)}</td><td><code>{html.escape(value)}</code></td></tr>"
        for name, key, value in cells
    )
    return f'<h2>Where it comes from</h2>\n<table class="text"><tbody>{rows}</tbody></table>'


def _table(heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def _picture(caption: str, data: bytes, kind: str) -> str:
    encoded = base64.b64encode(data).decode("ascii")
    text = html.escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/{kind};base64,{encoded}"><figcaption>{text}</figcaption></figure>'
    )


def _change(nats: float | str) -> str:
    """A difference in mean negative log-likelihood as a relative change of perplexity."""
    return nats if isinstance(nats, str) else f"{math.expm1(nats):+.2%}"


def _number(value: float | str | None, form: str) -> str:
    """A number in `form`; a string stands for what is not finite, and None for what there is none of."""
    return _NONE if value is None else value if isinstance(value, str) else format(value, form)
