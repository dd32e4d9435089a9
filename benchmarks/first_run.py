"""The picture of the README: what the first command made, beside what its training text alone predicts.

    make run && python -m benchmarks.first_run

Reads the evaluation of the newest run in hopline-output and writes docs/images/first-run.png.
"""

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from hopline.runtime.plot_style import STYLE

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "first-run.png"
_NAMES = {"unigram": "word frequencies"} | {f"kneser_ney_{order}": f"Kneser-Ney {order}-gram" for order in range(2, 6)}
_COLUMNS = 62  # of a continuation's text


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--output", type=Path, default=Path("hopline-output"), help="of hopline run")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="to write")
    options = parser.parse_args()
    folder = max((options.output / "runs").glob("*/evaluation"))
    numbers = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    with mpl.rc_context(STYLE):
        figure, (bars, text) = plt.subplots(1, 2, figsize=(11, 3.4), width_ratios=(1, 1.15), layout="constrained")
        _draw_bars(bars, numbers)
        _draw_continuations(text, samples["continuations"])
        figure.savefig(options.picture, dpi=110)


def _draw_bars(axes: Any, numbers: dict[str, Any]) -> None:
    baselines = numbers["baselines"]
    rows = [(name, baselines[key]["perplexity"]) for key, name in _NAMES.items() if key in baselines]
    rows.append(("hopline", numbers["challenger"]["perplexity"]))
    names, values = zip(*rows, strict=True)
    drawn = axes.barh(names, values, color=["#8c959f"] * (len(rows) - 1) + ["#1f6feb"])
    axes.bar_label(drawn, fmt="%.0f", padding=3)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(f"Perplexity on {numbers['tokens']:,} held-out tokens (lower is better)", loc="left", fontsize=10)


def _draw_continuations(axes: Any, continuations: list[dict[str, str]]) -> None:
    axes.axis("off")
    axes.set_title("What it writes after held-out beginnings (bold)", loc="left", fontsize=10)
    for number, sample in enumerate(continuations):
        top = 0.94 - number / len(continuations)
        body = textwrap.wrap(" ".join(sample["drawn"].split()), _COLUMNS)
        axes.text(0, top, sample["beginning"], weight="bold", va="top", fontsize=9.5)
        axes.text(0.02, top - 0.085, "\n".join(body), va="top", fontsize=9.5)


if __name__ == "__main__":
    main()
