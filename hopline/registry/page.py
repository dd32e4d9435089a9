"""The registry for people: one HTML page, rewritten at each promotion and rollback."""

import html
from collections.abc import Sequence
from datetime import timedelta

from hopline.registry.backends import VERSIONS
from hopline.registry.card import CARD
from hopline.registry.lineage import CHAMPION, MISSING, REMOVED, Reign, Version
from hopline.runtime.pages import NONE, Cell, Markup, Series, bullets, chart, document, table

PAGE = "index.html"
_DAY, _HOUR = 86_400, 3_600
_STATES = {REMOVED: "removed by prune", MISSING: "missing"}


def render_page(versions: Sequence[Version]) -> str:
    """The page of a registry that holds these versions."""
    parts = [f'<p class="lead">{_standing(versions)}</p>']
    if versions:
        parts += [_curve(versions), "<h2>Versions</h2>", _versions(versions), "<h2>Who was champion</h2>"]
        parts += [_reigns(versions)]
    return document("Registry of language models", parts)


def describe_change(version: Version) -> str:
    """By how much it is below or above the champion before it, and in what if not in perplexity; "" if not known."""
    if version.change is None:
        return ""
    key, name = version.measure
    measure = "" if key == "comparable_perplexity" else f" in {name}"
    return f"{abs(version.change):.2%} {'below' if version.change < 0 else 'above'} the champion before it{measure}"


def describe_length(length: timedelta | None) -> str:
    """A time in its two greatest units."""
    if length is None:
        return NONE
    seconds = int(length.total_seconds())
    days, hours, minutes = seconds // _DAY, seconds % _DAY // _HOUR, seconds % _HOUR // 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"


def moment(text: str) -> str:
    """A record's time for people: UTC, to the minute."""
    return f"{text[:10]} {text[11:16]} UTC"


def _standing(versions: Sequence[Version]) -> str:
    champions = [version for version in versions if version.reigns[-1].until is None]
    if not champions:
        return "Nothing has been promoted yet."
    champion = champions[-1]
    entry, change = champion.entry, describe_change(champion)
    bars = "".join(f"; {html.escape(name)}: {value:,.1f}" for name, value in champion.leading_baselines.items())
    text = (
        f"<b>Version {champion.number} is champion</b> since {moment(champion.reigns[-1].since)}: perplexity "
        f"{entry.perplexity:,.2f} on {html.escape(entry.split)}{f', {change}' if change else ''}{bars}."
    )
    if champion.state != CHAMPION:
        text += f" <b>Its model is {_STATES[champion.state]}.</b>"
    previous = f"A rollback goes to version {entry.previous}." if entry.previous is not None else "It is the first."
    return f"{text} {previous}"


def _curve(versions: Sequence[Version]) -> str:
    bars = {version.number: version.leading_baselines for version in versions}
    names = sorted({name for found in bars.values() for name in found})
    lines = [
        Series("promoted", [(version.number, version.entry.perplexity) for version in versions]),
        *(
            Series(
                name,
                [(number, found[name]) for number, found in bars.items() if name in found],
                dashed=True,
                colour=colour,
            )
            for colour, name in enumerate(names, 1)
        ),
    ]
    caption = (
        "Perplexity of each version and of the baselines of its corpus. Of another corpus or split a perplexity is "
        "another measure; against the champion before it each version was measured on the same text."
    )
    return chart(lines, caption=caption, x_label="version", whole=True)


def _versions(versions: Sequence[Version]) -> str:
    heads = ["version", "promoted", "perplexity", "baselines", "why"]
    return table(heads, [_version_cells(version) for version in reversed(versions)])


def _version_cells(version: Version) -> list[Cell]:
    entry = version.entry
    there = version.state not in (REMOVED, MISSING)
    name = f"<b>{version.number}</b> {html.escape(_STATES.get(version.state, version.state))}"
    link = f'<br><a href="{VERSIONS}/{version.number}/{CARD}">card</a>' if there else ""
    previous = f"<br>after version {entry.previous}" if entry.previous is not None else ""
    colour = "good" if version.change is not None and version.change < 0 else "bad"
    change = f'<br><span style="color:var(--{colour})">{describe_change(version)}</span>'
    bars = [f"{baseline}: {value:,.2f}" for baseline, value in version.leading_baselines.items()]
    return [
        Markup(f"{name}{link}"),
        Markup(f"{moment(entry.promoted)}{previous}<br><code>{html.escape(entry.model_id[:12])}</code>"),
        Markup(f"{entry.perplexity:,.2f} on {html.escape(entry.split)}{change if version.change is not None else ''}"),
        Markup("<br>".join(html.escape(line) for line in bars) or NONE),
        bullets(version.reasons) if version.reasons else NONE,
    ]


def _reigns(versions: Sequence[Version]) -> str:
    reigns: list[tuple[Reign, Version]] = [(reign, version) for version in versions for reign in version.reigns]
    reigns.sort(key=lambda pair: pair[0].history)
    rows = [
        [
            f"version {version.number}",
            moment(reign.since),
            moment(reign.until) if reign.until else "now",
            describe_length(reign.length),
            "rollback" if reign.rollback else "promotion",
        ]
        for reign, version in reversed(reigns)
    ]
    return table(["champion", "from", "until", "for", "by"], rows)
