"""The training curve as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")  # no display in a container
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

_SMOOTHED_SHARE = 100  # the running mean covers 1/100 of the curve


def plot_curve(records: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws training and validation perplexity, learning rate and gradient norm over steps.

    Args:
        records: the training log (`components.train.log`).
        path: the PNG to write.
    """
    steps = [record for record in records if "loss" in record]
    valid = [record for record in records if "valid_loss" in record]
    if not steps:
        return
    x = np.array([record["step"] for record in steps])
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, sharex=True, figsize=(8, 7), height_ratios=(3, 1, 1), layout="constrained"
    )
    losses = np.array([record["loss"] for record in steps])
    top.plot(x, np.exp(losses), color="tab:blue", alpha=0.25, linewidth=0.8)
    top.plot(*_running_mean(x, losses, np.exp), color="tab:blue", label="training, running mean")
    if valid:
        valid_steps = [record["step"] for record in valid]
        perplexities = np.exp([record["valid_loss"] for record in valid])
        best = int(np.argmin(perplexities))
        label = f"validation, best {perplexities[best]:,.1f} after step {valid_steps[best]:,}"
        top.plot(valid_steps, perplexities, "o-", color="tab:orange", markersize=4, label=label)
    top.set(yscale="log", ylabel="perplexity", title="Training")
    top.legend()
    middle.plot(x, [record["learning_rate"] for record in steps], color="tab:green")
    middle.set(yscale="log", ylabel="learning rate")
    bottom.plot(x, [record["gradient_norm"] for record in steps], color="tab:gray", linewidth=0.8)
    bottom.set(yscale="log", ylabel="gradient norm", xlabel="step")
    for axis in (top, middle, bottom):
        axis.grid(alpha=0.3)
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter("{x:,g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
    partial = path.with_suffix(".partial")
    figure.savefig(partial, dpi=120, format="png")
    plt.close(figure)
    partial.replace(path)


def _running_mean(x: np.ndarray, y: np.ndarray, scale: Any) -> tuple[np.ndarray, np.ndarray]:
    width = max(1, len(y) // _SMOOTHED_SHARE)
    smooth = np.convolve(y, np.ones(width) / width, mode="valid")
    return x[width - 1 :], scale(smooth)
