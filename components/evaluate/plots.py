"""The pictures of the report, as SVG."""

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from components.evaluate.compare import Floats
from hopline.runtime.plot_style import STYLE

if TYPE_CHECKING:
    from components.evaluate.measure import Measurement

CHALLENGER_COLOUR, CHAMPION_COLOUR = "#1f6feb", "#9a6700"
_POINTS = 100  # along the split
_BINS = 60
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
    with mpl.rc_context(_STYLE):
        drawn = {"Perplexity through the split": _through(challenger, champion)}
        if champion is not None and measured.difference is not None:
            block = measured.difference.block
            caption = f"Challenger minus champion, means of {block} consecutive tokens (below 0 it is better)"
            with np.errstate(invalid="ignore"):
                drawn[caption] = _histogram(challenger - champion, block)
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


def _histogram(difference: Floats, block: int) -> bytes:
    """How the paired differences spread."""
    _, means = _segment_means(difference, len(difference) // block)
    means = means[np.isfinite(means)]
    figure, axes = _canvas()
    axes.hist(means, bins=_BINS, color=CHALLENGER_COLOUR, alpha=0.75)
    axes.axvline(0, color="black", linewidth=0.8)
    mean = difference.mean()
    if np.isfinite(mean):
        axes.axvline(mean, color=CHAMPION_COLOUR, linewidth=1.6, label=f"mean {mean:+.4f}")
        axes.legend(frameon=False)
    axes.set(xlabel="nats per token", ylabel="blocks")
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
