"""The pictures of the report, as SVG."""

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from components.evaluate.bootstrap import Floats
from components.evaluate.calibration import Bin
from hopline.runtime.plot_style import STYLE

if TYPE_CHECKING:
    from components.evaluate.measure import Measurement

CHALLENGER_COLOUR, CHAMPION_COLOUR = "#1f6feb", "#9a6700"
_POINTS = 100  # along the split
# Without a salt the file's ids are random, and the same evaluation would give another report.
_STYLE = {
    "svg.hashsalt": "hopline",
    "svg.fonttype": "none",
    **STYLE,
}


def pictures(measured: "Measurement") -> dict[str, bytes]:
    """The report's pictures: caption to SVG."""
    challenger = measured.challenger.comparable
    champion = measured.champion.comparable if measured.champion else None
    difference = measured.token_differences
    if difference is None:
        champion = None  # its tokens are others: the two curves would not have the same places
    with mpl.rc_context(_STYLE):
        drawn = {"Perplexity through the split": _through(challenger, champion)}
        if difference is not None:
            caption = f"Challenger minus champion, {_POINTS} means along the split (below 0 the challenger is better)"
            drawn[caption] = _along(difference)
        if measured.calibration:
            caption = "Calibration of the challenger: of the words given a probability, the share that came next"
            drawn[caption] = _calibration(measured.calibration)
    return drawn


def _through(challenger: Floats, champion: Floats | None) -> bytes:
    """Perplexity of consecutive segments of the split."""
    figure, axes = _canvas()
    for name, nll, colour in (
        ("champion", champion, CHAMPION_COLOUR),
        ("challenger", challenger, CHALLENGER_COLOUR),
    ):
        if nll is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                middles, means = _segment_means(nll, _POINTS)
                axes.plot(middles, np.exp(means), label=name, color=colour, linewidth=1.4)
    axes.set(xlabel="token", ylabel="perplexity")
    axes.legend(frameon=False)
    return _svg(figure)


def _along(difference: Floats) -> bytes:
    """The paired differences of consecutive segments, and their mean."""
    with np.errstate(invalid="ignore"):
        middles, means = _segment_means(difference, _POINTS)
        mean = difference.mean()
    figure, axes = _canvas()
    shown = np.isfinite(means)
    width = 0.9 * len(difference) / len(means)
    axes.bar(middles[shown], means[shown], width=width, color=CHALLENGER_COLOUR, alpha=0.75)
    axes.axhline(0, color="black", linewidth=0.8)
    if np.isfinite(mean):
        axes.axhline(mean, color=CHAMPION_COLOUR, linewidth=1.6, label=f"mean {mean:+.4f}")
        axes.legend(frameon=False)
    axes.set(xlabel="token", ylabel="nats per token")
    return _svg(figure)


def _calibration(bins: list[Bin]) -> bytes:
    """Observed against predicted probability, both axes logarithmic; what never occurred lies on the lower edge."""
    figure, axes = _canvas()
    predicted = np.array([item.predicted for item in bins])
    observed = np.array([item.observed for item in bins])
    least = min(predicted.min(), observed[observed > 0].min(initial=1.0)) / 2
    axes.plot([least, 1], [least, 1], color="black", linewidth=0.8, label="calibrated")
    axes.plot(predicted, np.maximum(observed, least), "o-", color=CHALLENGER_COLOUR, linewidth=1.4, label="challenger")
    axes.set(xscale="log", yscale="log", xlabel="probability given", ylabel="share that came next")
    axes.legend(frameon=False)
    return _svg(figure)


def _segment_means(values: Floats, count: int) -> tuple[Floats, Floats]:
    """Middle and mean of `count` segments of almost equal length: a short last one would only show noise."""
    edges = np.linspace(0, len(values), min(count, len(values)) + 1).astype(np.int64)
    return (edges[:-1] + edges[1:]) / 2, np.add.reduceat(values, edges[:-1]) / np.diff(edges)


def _canvas() -> tuple[Figure, Any]:
    figure = Figure(figsize=(7.6, 2.9), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()
