"""The picture of quality against time: what validation gave at each epoch's end of one or several trainings.

    for minutes in 15 45 90; do
        hopline run --config configs/ptb.toml --minutes $minutes --set corpus.train=ptb.train.txt ...
    done
    python -m benchmarks.quality_by_time hopline-output/runs/*

Trainings of several lengths may come from another machine, a GPU say: each is a point of a line for every --machine,
at its epochs times the seconds that an epoch takes there.

    python -m benchmarks.quality_by_time RUN --schedule two/log.jsonl five/log.jsonl --machine "2 cores of mine=470"

Beside the curves stand what an n-gram model of the same training text reaches (from the run's evaluation) and, with
--mark, figures from elsewhere.
"""

import argparse
import json
import math
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.quality import minutes_of
from hopline.runtime.plot_style import STYLE

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "quality-by-time.png"
_TICKS = (0, 15, 30, 45, 60, 90, 120, 150, 180)  # minutes
_MARKS = ["the paper's best of ten=118", "tied LSTM with dropout=89.9"]  # Sukhbaatar 2015, table 2; Inan 2017, table 1


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("runs", nargs="*", type=Path, help="folders of runs")
    parser.add_argument("--schedule", nargs="+", default=[], type=Path, metavar="LOG", help="logs of trainings")
    parser.add_argument("--machine", action="append", default=[], metavar="NAME=SECONDS", help="of an epoch there")
    parser.add_argument("--mark", action="append", metavar="NAME=PERPLEXITY", help=f"lines beside ({_MARKS})")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="to write")
    options = parser.parse_args()
    machines = [machine.rsplit("=", 1) for machine in options.machine]
    marks = dict(mark.rsplit("=", 1) for mark in options.mark or _MARKS)
    lines = {name: float(value) for name, value in marks.items()}
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
        ends = [0.0]
        for run in options.runs:
            minutes, perplexities = curve(run / "model" / "log.jsonl")
            (drawn,) = axes.plot(minutes, perplexities, marker=".", markersize=4)
            best = perplexities.index(min(perplexities))
            axes.plot(minutes[best], perplexities[best], "o", color=drawn.get_color())
            axes.annotate(f"{perplexities[best]:.1f}", (minutes[best], perplexities[best]), (0, -14),
                          textcoords="offset points", ha="center", weight="bold")  # fmt: skip
            ends.append(minutes[-1])
            baselines = json.loads((run / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))["baselines"]
            if "kneser_ney_5" in baselines:
                lines["Kneser-Ney 5-gram"] = baselines["kneser_ney_5"]["perplexity"]
        trained = sorted(length_and_best(log) for log in options.schedule)
        for name, seconds in machines:
            minutes = [epochs * float(seconds) / 60 for epochs, _ in trained]
            axes.plot(minutes, [best for _, best in trained], marker="o", markersize=5, linestyle=":", label=name)
            ends.append(minutes[-1])
        if machines:
            axes.legend(loc="upper right", fontsize=8.5)
        for name, value in lines.items():
            axes.axhline(value, color="#8c959f", linewidth=1, linestyle="--")
            axes.annotate(f"{name}: {value:.1f}", (max(ends), value), (0, -11), textcoords="offset points", ha="right",
                          color="#57606a", fontsize=8.5)  # fmt: skip
        axes.set_ylim(bottom=0.9 * min(lines.values()), top=1.5 * max(lines.values()))
        axes.set_yscale("log")
        axes.set_yticks([80, 90, 100, 120, 150, 200], labels=["80", "90", "100", "120", "150", "200"])
        axes.set_xticks([minutes for minutes in _TICKS if minutes <= max(ends)])
        axes.set_xlabel("minutes of training")
        axes.set_title("Perplexity on validation (lower is better)", loc="left", fontsize=10)
        figure.savefig(options.picture, dpi=110)


def length_and_best(log: Path) -> tuple[float, float]:
    """Of a training its epochs and its best perplexity on validation."""
    last = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    return last["epoch"], min(curve(log)[1])


def curve(log: Path) -> tuple[list[float], list[float]]:
    """Minutes of training and the perplexity of the better weights at each validation."""
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    minutes, perplexities = [], []
    for number, record in enumerate(records):
        if losses := [record[key] for key in ("valid_loss", "average_valid_loss") if key in record]:
            minutes.append(minutes_of(records[: number + 1]))
            perplexities.append(math.exp(min(losses)))
    return minutes, perplexities


if __name__ == "__main__":
    main()
