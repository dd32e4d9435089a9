"""The parts that the report is built of: one page, no script, no network, light and dark, narrow and wide."""

import base64
import html
import math
from collections.abc import Mapping, Sequence

NONE = "\N{EN DASH}"
_FAR_APART = 20
# What is wider than the page scrolls inside a box of its own, and long words break: the page never scrolls sideways.
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --page: #fff; --card: #f6f8fa;
  --yes: #1a7f37; --no: #b35900; --bar: #1f6feb; --other: #9a6700; --rest: #8c959f;
  --good: 26 127 55; --bad: 209 60 0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117;
  --card: #161b22; --yes: #3fb950; --no: #f0883e; --bar: #4493f8; --other: #d29922; --rest: #6e7681;
  --good: 46 160 67; --bad: 248 81 73; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 880px;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.verdict { border-left: 6px solid var(--colour); background: var(--card); padding: 1rem 1.3rem; border-radius: 4px; }
.verdict h1 { color: var(--colour); } .verdict .why { color: var(--ink); font-size: 1.05rem; margin: .4rem 0 0; }
.verdict ul { margin: .6rem 0 0; padding-left: 1.2rem; color: var(--soft); }
.promote { --colour: var(--yes); } .reject { --colour: var(--no); }
.wide { overflow-x: auto; margin-bottom: 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .7rem; border-bottom: 1px solid var(--line); overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; padding-left: 0; overflow-wrap: anywhere; min-width: 7rem; }
thead th { color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); }
.text td { text-align: left; vertical-align: top; } .text td:last-child { overflow-wrap: anywhere; min-width: 12rem; }
td code { font-size: .85rem; } p, figcaption { color: var(--soft); } figcaption { font-size: .9rem; }
figure { margin: 1rem 0; } figure img { width: 100%; min-width: 560px; background: #fff; border-radius: 4px; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .35rem .7rem; align-items: center; }
.bars .bar { height: 1.1rem; border-radius: 2px; background: var(--rest); min-width: 2px; }
.bars .challenger { background: var(--bar); } .bars .champion { background: var(--other); }
.bars .value { text-align: right; font-variant-numeric: tabular-nums; }
.passage { border-left: 3px solid var(--line); padding-left: .8rem; color: var(--ink); line-height: 1.9; }
.passage .from { color: var(--soft); font-size: .85rem; display: block; line-height: 1.4; }
.passage .word { border-radius: 3px; padding: .1rem .2rem; }
@media (max-width: 500px) { th, td { padding: .3rem .35rem; font-size: .87rem; } }
.passage .better { background: rgb(var(--good) / var(--much)); }
.passage .worse { background: rgb(var(--bad) / var(--much)); }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """The whole file."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n</head>\n'
        "<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], style: str = "") -> str:
    """A table in a box that scrolls by itself; without heads where none is given."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
    head = f"<thead><tr>{head}</tr></thead>\n" if heads else ""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="wide"><table class="{style}">\n{head}<tbody>\n{body}</tbody>\n</table></div>'


def bars(values: Mapping[str, float], styles: Mapping[str, str]) -> tuple[str, str]:
    """Bars of values of 1 or more with their numbers, and what their axis is.

    The axis begins at 0; where the values are so far apart that some bars would vanish it is logarithmic, from 1.

    Args:
        values: label to value.
        styles: label to the class of its bar, where it has one.
    """
    logarithmic = max(values.values(), default=1.0) > _FAR_APART * min(values.values(), default=1.0)
    lengths = {label: math.log(max(value, 1.0)) if logarithmic else value for label, value in values.items()}
    longest = max(lengths.values(), default=0.0) or 1.0
    rows = [
        f'<span>{html.escape(label)}</span><span><span class="bar {styles.get(label, "")}" style="display: block; '
        f'width: {100 * lengths[label] / longest:.1f}%"></span></span>'
        f'<span class="value">{value:,.1f}</span>'
        for label, value in values.items()
    ]
    drawn = '<div class="bars">\n' + "\n".join(rows) + "\n</div>"
    return drawn, "on a logarithmic axis" if logarithmic else "on an axis from 0"


def passage(source: str, words: Sequence[str], differences: Sequence[float], strongest: float) -> str:
    """A passage whose words are shaded by their differences: below 0 as better, above 0 as worse."""
    shaded = []
    for word, difference in zip(words, differences, strict=True):
        much = min(abs(difference) / strongest, 1.0) * 0.75 if strongest else 0.0
        kind = "better" if difference < 0 else "worse"
        title = f"{difference:+.2f} nats"
        text = html.escape(word)
        shaded.append(f'<span class="word {kind}" style="--much: {much:.2f}" title="{title}">{text}</span>')
    total = sum(differences)
    note = f'<span class="from">{html.escape(source)}: {total:+.1f} nats</span>'
    return f'<p class="passage">{note}{" ".join(shaded)}</p>'


def picture(caption: str, data: bytes, kind: str) -> str:
    """A picture of MIME type image/`kind`, in a box that scrolls by itself."""
    encoded = base64.b64encode(data).decode("ascii")
    text = html.escape(caption)
    source = f"data:image/{kind};base64,{encoded}"
    return f'<figure><div class="wide"><img alt="{text}" src="{source}"></div><figcaption>{text}</figcaption></figure>'


def number(value: float | str | None, form: str) -> str:
    """A number in `form`; a string stands for what is not finite, and None for what there is none of."""
    return NONE if value is None else value if isinstance(value, str) else format(value, form)
