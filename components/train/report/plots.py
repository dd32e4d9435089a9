"""The training curve and the attention as pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from components.train.report.curve import Curve, Floats, Thinned
from hopline.runtime.plot_style import STYLE

_SMOOTHED_SHARE = 100  # the running mean covers 1/100 of the curve
_FEW = 40  # points of a series that are marked one by one
_LEGEND_LINES = 12
_MOST_NATS = 20.0  # a greater loss is drawn as this: the picture is of training, not of one spike
_FAINTEST = (1e-3, 0.5)  # attention below this share of its hop's greatest is drawn alike; least and greatest
_TRAIN, _VALID, _AVERAGE = "#1f6feb", "#d9730d", "#a40e26"
_RATE, _NORM, _SPEED = "#1a7f37", "#57606a", "#8250df"


def plot_curve(curve: Curve, path: Path) -> None:
    """Draws perplexities, learning rate, gradient norm and targets per second over steps.

    Of a long run, the band from the least to the greatest value of neighbouring steps is drawn, and their mean.

    Args:
        curve: of the training log (`components.train.report.log`).
        path: the PNG to write; without a step there is none.
    """
    if not curve.steps:
        return
    series, last = curve.series, curve.series["loss"].step[-1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 8.4), layout="constrained")
        panels = figure.subplots(4, 1, sharex=True, height_ratios=(3.4, 1, 1, 1))
        _band(panels[0], series["loss"], _TRAIN, "training", scale=_perplexity)
        _validations(panels[0], curve.valid, "valid_loss", "validation", _VALID)
        _validations(panels[0], curve.valid, "average_valid_loss", "averaged weights", _AVERAGE)
        panels[0].set(ylabel="perplexity", title=f"Training after step {int(last):,}")
        panels[0].legend(frameon=False)
        _band(panels[1], series["learning_rate"], _RATE, smooth=False)
        panels[1].set(ylabel="learning rate")
        _band(panels[2], series["gradient_norm"], _NORM)
        panels[2].set(ylabel="gradient norm")
        _band(panels[3], series["targets_per_second"], _SPEED)
        panels[3].set(ylabel="targets / s", xlabel="step", ylim=(0, None))
        panels[3].yaxis.set_major_formatter("{x:,.6g}")
        panels[3].set_xlim(0, 1.01 * last)
        panels[3].xaxis.set_major_locator(_whole_numbers())
        panels[3].xaxis.set_major_formatter("{x:,.0f}")
        for axes in panels[:3]:
            _log_scale(axes)
        figure.align_ylabels()
        _save(figure, path)


def plot_attention(mean_KM: Floats, title: str, path: Path) -> None:
    """Draws where each hop looks, as figure 3 of the paper does, and the same numbers as lines.

    Args:
        mean_KM: mean probabilities; column d - 1 is the word d before the target.
        title: of the picture.
        path: the PNG to write.
    """
    hops, slots = mean_KM.shape
    greatest = mean_KM.max(axis=1, keepdims=True)
    share_KM = np.divide(mean_KM, greatest, out=np.zeros_like(mean_KM), where=greatest > 0)
    faintest = float(np.clip(share_KM.min(), *_FAINTEST))
    distance = np.arange(1, slots + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.6 + 0.28 * min(hops, 20)), layout="constrained")
        rows, lines = figure.subplots(2, 1, sharex=True, height_ratios=(0.5 + 0.28 * min(hops, 20), 2.4))
        image = rows.pcolormesh(
            np.arange(slots + 1) + 0.5, np.arange(hops + 1) + 0.5, np.maximum(share_KM, faintest),
            norm=LogNorm(faintest, 1), cmap="magma",
        )  # fmt: skip
        bar = figure.colorbar(image, ax=rows, label="share of the\nhop's greatest", pad=0.01)
        bar.ax.yaxis.set_major_locator(LogLocator(subs=_subdivisions(faintest, 1)))
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        rows.set(ylabel="hop", ylim=(hops + 0.5, 0.5), title=title)
        rows.yaxis.set_major_locator(_whole_numbers())
        rows.grid(visible=False)
        marker = "o" if slots <= _FEW else ""
        colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, hops))
        for hop, (colour, mean_M) in enumerate(zip(colours, mean_KM, strict=True), start=1):
            label = f"{hop}" if (hop - 1) % (1 + (hops - 1) // _LEGEND_LINES) == 0 else ""
            lines.plot(distance, mean_M, marker=marker, color=colour, markersize=3, linewidth=1.2, label=label)
        lines.axhline(1 / slots, color="black", linewidth=0.8, linestyle=":", label="all alike")
        legend = lines.legend(frameon=False, title="hop", fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        legend.set_in_layout(False)  # it fits below the colour bar, which has made room
        lines.set(ylabel="mean probability", xlabel="words before the target")
        # Time runs to the right, as in the paper.
        lines.set_xlim(slots + 0.5, 0.5)
        lines.xaxis.set_major_locator(_whole_numbers())
        _log_scale(lines)
        _save(figure, path)


def _perplexity(loss: Floats) -> Floats:
    return np.exp(np.minimum(loss, _MOST_NATS))


def _band(
    axes: Any, series: Thinned, colour: str, name: str = "", *, scale: Callable[[Floats], Floats] = np.asarray,
    smooth: bool = True,
) -> None:  # fmt: skip
    """One series: the band of its values and, of a long one, its running mean."""
    x, mean = series.step, series.mean
    width = max(1, len(mean) // _SMOOTHED_SHARE) if smooth else 1
    low, high = (_drawable(scale(values)) for values in (series.least, series.greatest))
    axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0.7)
    marker = "o" if series.steps <= _FEW else ""
    faint = 1.0 if width == 1 else 0.3
    label = name if width == 1 else ""
    line = {"color": colour, "marker": marker, "markersize": 3}
    axes.plot(x, _drawable(scale(mean)), alpha=faint, linewidth=1.6 if width == 1 else 0.8, label=label, **line)
    if width > 1:
        running = np.convolve(mean, np.ones(width) / width, mode="valid")
        label = f"{name}, running mean" if name else ""
        axes.plot(x[width - 1 :], _drawable(scale(running)), color=colour, linewidth=1.6, label=label)


def _validations(axes: Any, records: Sequence[dict[str, Any]], key: str, name: str, colour: str) -> None:
    """The perplexities of the validations that have `key`, if there are any, and the best of them."""
    valid = [record for record in records if key in record]
    if not valid:
        return
    steps = [record["step"] for record in valid]
    perplexities = _perplexity(np.array([record[key] for record in valid]))
    best = int(np.argmin(perplexities))
    label = f"{name}, best {perplexities[best]:,.1f} after step {steps[best]:,}"
    marker = "o" if len(valid) <= _FEW else ""
    axes.plot(steps, _drawable(perplexities), marker=marker, color=colour, markersize=4, label=label)
    axes.plot(steps[best], perplexities[best], marker="o", color=colour, markersize=7, fillstyle="none")


def _drawable(values: Floats) -> Floats:
    """The values with gaps where they are infinite: an axis cannot reach them."""
    return np.where(np.isfinite(values), values, np.nan)


def _log_scale(axes: Any) -> None:
    """A logarithmic y axis with plain numbers; values that it cannot show are gaps, and without others it is linear."""
    lines = [np.asarray(line.get_ydata(), np.float64) for line in axes.lines]
    bands = [path.vertices[:, 1] for band in axes.collections for path in band.get_paths()]
    drawn = np.concatenate(lines + bands)
    drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
    if drawn.size == 0:
        return
    least, greatest = drawn.min(), drawn.max()
    subdivisions = _subdivisions(least, greatest)
    if len(subdivisions) > 1:  # from one labelled number to another, or a narrow range might show none
        decades = 10.0 ** np.arange(np.floor(np.log10(least)) - 1, np.ceil(np.log10(greatest)) + 2)
        labelled = np.outer(decades, subdivisions).ravel()
        axes.set_ylim(labelled[labelled < least / 1.05].max(), labelled[labelled > 1.05 * greatest].min())
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_locator(LogLocator(subs=subdivisions))
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _subdivisions(least: float, greatest: float) -> tuple[float, ...]:
    """The numbers of a decade that a logarithmic axis labels."""
    return (1.0, 2.0, 5.0) if greatest < 100 * least else (1.0,)


def _whole_numbers() -> MaxNLocator:
    return MaxNLocator(10, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)


def _save(figure: Figure, path: Path) -> None:
    partial = path.with_suffix(".partial")
    figure.savefig(partial, dpi=120, format="png")
    partial.replace(path)
