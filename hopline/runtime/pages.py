"""Self-contained HTML pages: no script, nothing fetched, for light and dark, for a screen of 390 points and wider."""

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

NONE = "\N{EN DASH}"  # stands where there is nothing
_COLOURS = 8  # after so many series the colours begin again
_WIDTH, _HEIGHT = 480.0, 260.0  # of a chart, in its own units; narrow, so that its text can be read on a phone
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 10.0, 40.0
_POINTS = 300  # of a line that is drawn; more cannot be seen
_MARKED = 30  # a line of so few points shows each
_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --band: #f3f5f7;
  --good: #1a7f37; --bad: #b35900; --c0: #1f6feb; --c1: #d9730d; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989;
  --c5: #0a7f86; --c6: #8a6d00; --c7: #57606a; }
@media (prefers-color-scheme: dark) { :root { --back: #0d1117; --ink: #e6edf3; --soft: #9198a1; --line: #3d444d;
  --band: #161b22; --good: #3fb950; --bad: #f0883e; --c0: #4493f8; --c1: #f0883e; --c2: #3fb950; --c3: #ab7df8;
  --c4: #f778ba; --c5: #39c5cf; --c6: #d4a72c; --c7: #9198a1; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; background: var(--back); color: var(--ink); max-width: 960px;
  margin: 1.5rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p, figcaption, summary { color: var(--soft); } code { font-size: .85rem; } a { color: var(--c0); }
.lead { border-left: 6px solid var(--good); background: var(--band); color: var(--ink); padding: .8rem 1rem;
  border-radius: 4px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; border-bottom-width: 2px; }
figure { margin: 0; } svg { display: block; width: 100%; max-width: 620px; height: auto; }
svg text { font-size: 12px; fill: var(--soft); } .grid { stroke: var(--line); stroke-width: .7; }
.curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .dashed { stroke-dasharray: 5 4; }
.faint { stroke-width: 1.2; opacity: .5; } .wide { overflow-x: auto; }
.key { display: inline-block; margin-right: 1rem; } .key i { display: inline-block; width: 1.6em; height: 0;
  border-top: 3px solid; margin-right: .4em; vertical-align: middle; } .key .dashes { border-top-style: dashed; }
ul { margin: .2rem 0; padding-left: 1.1rem; }
@media (max-width: 640px) {
  table, tbody, tr, td { display: block; } thead { display: none; }
  tr { border-bottom: 2px solid var(--line); padding: .5rem 0; } td { border: 0; padding: .15rem 0; }
  td[data-name]:not([data-name=""])::before { content: attr(data-name) ": "; color: var(--soft); }
}
"""


@dataclass(frozen=True)
class Markup:
    """HTML that is put into a page as it is; text is escaped."""

    text: str


Cell = str | Markup


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: in the legend.
        points: x and y; those that are not finite are left out.
        dashed: drawn in dashes.
        faint: drawn thin and in the background, without marks.
        colour: number of its colour; lines may share one.
    """

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False
    faint: bool = False
    colour: int = 0


def document(title: str, parts: Iterable[str]) -> str:
    """The page; `parts` are HTML."""
    name = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{name}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def markup(cell: Cell) -> str:
    """`cell` as HTML."""
    return cell.text if isinstance(cell, Markup) else html.escape(cell)


def bullets(lines: Sequence[str]) -> Markup:
    """A list; nothing if there are no lines."""
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return Markup(f"<ul>{items}</ul>" if items else "")


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A table, whose rows become blocks on a narrow screen."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-name="{html.escape(name)}">{markup(cell)}</td>' for name, cell in zip(heads, row, strict=True)
        )
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def chart(series: Sequence[Series], *, caption: str, x_label: str, whole: bool = False, log_x: bool = False) -> str:
    """Lines over a common logarithmic y axis, with a legend; "" if there is no point that it can show.

    Args:
        series: the lines; their y must be positive.
        caption: what is shown.
        x_label: of the x axis, whose numbers are whole.
        whole: labels every whole number that has a point, if these are few.
        log_x: makes the x axis logarithmic too; every x must be positive.
    """
    shown = [(line, _drawable(line.points)) for line in series]
    points = [point for _, drawn in shown for point in drawn]
    if not points:
        return ""
    x_low, x_high = (edge(x for x, _ in points) for edge in (min, max))
    ticks = _log_ticks(*(edge(y for _, y in points) for edge in (min, max)))
    if x_low == x_high:
        x_low, x_high = (x_low / 2, x_high * 2) if log_x else (x_low - 0.5, x_high + 0.5)
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    scale: Callable[[float], float] = math.log if log_x else float

    def at(x: float, y: float) -> tuple[float, float]:
        right = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (scale(x) - scale(x_low)) / (scale(x_high) - scale(x_low))
        return right, _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - math.log(y)) / (high - low)

    parts = []
    for tick in ticks:
        _, y = at(x_low, tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:,g}</text>')
    numbers = sorted({x for x, _ in points}) if whole else []
    if log_x:
        across = [tick for tick in _log_ticks(x_low, x_high) if x_low <= tick <= x_high]
    else:
        across = numbers if 0 < len(numbers) <= 12 else _linear_ticks(x_low, x_high)
    for tick in across:
        x, _ = at(tick, ticks[0])
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 22}" text-anchor="middle">{tick:,g}</text>')
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{html.escape(x_label)}</text>')
    for line, drawn in shown:
        parts += _line(line, [at(x, y) for x, y in drawn])
    keys = "".join(_key(line) for line, drawn in shown if drawn and line.name)
    text = html.escape(caption)
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{text}">{"".join(parts)}</svg>'
        f"<figcaption>{keys}<br>{text}</figcaption></figure>"
    )


def means(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """The points, or of more than `most` the means of so many groups of neighbours, each at its last x."""
    if len(points) <= most:
        return list(points)
    groups = [points[number * len(points) // most : (number + 1) * len(points) // most] for number in range(most)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _key(line: Series) -> str:
    """The line in the legend."""
    style = "dashes" if line.dashed else "solid"
    colour = f"border-color:var(--c{line.colour % _COLOURS})"
    return f'<span class="key"><i class="{style}" style="{colour}"></i>{html.escape(line.name)}</span>'


def _line(line: Series, places: Sequence[tuple[float, float]]) -> list[str]:
    """The SVG of one line: its curve and, where there are few, its points."""
    colour = f"var(--c{line.colour % _COLOURS})"
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    look = f"curve{' dashed' if line.dashed else ''}{' faint' if line.faint else ''}"
    parts = [f'<polyline class="{look}" style="stroke:{colour}" points="{path}"/>'] if len(places) > 1 else []
    if len(places) <= _MARKED and not line.faint:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" style="fill:{colour}"/>' for x, y in places]
    return parts


def _drawable(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that a logarithmic axis can show; of many, `_POINTS` means of neighbours."""
    return means([(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and y > 0], _POINTS)


def _log_ticks(least: float, greatest: float) -> list[float]:
    """Numbers from at most `least` to at least `greatest`, at most nine of them."""
    for steps in ((1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9), (1, 2, 3, 5, 7), (1, 2, 5), (1,)):
        first, last = math.floor(math.log10(least)), math.ceil(math.log10(greatest)) + 1
        numbers = [round(step * 10.0**power, 12) for power in range(first, last + 1) for step in steps]
        start = max(index for index, number in enumerate(numbers) if number <= least or index == 0)
        end = next(index for index, number in enumerate(numbers) if number >= greatest)
        ticks = numbers[start : max(end, start + 1) + 1]
        if len(ticks) <= 9:
            break
    return ticks


def _linear_ticks(low: float, high: float) -> list[float]:
    """About five whole numbers from `low` to `high`."""
    rough = max(1.0, (high - low) / 5)
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(1.0, next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough))
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
