"""The training curve in little memory: what a picture of it can show, and no more, however long the run is."""

import math
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SERIES = ("loss", "learning_rate", "gradient_norm", "targets_per_second")
POINTS = 1000  # more than the picture has columns, so that nothing seen is lost


@dataclass(frozen=True)
class Thinned:
    """One series as runs of neighbouring steps; the arrays have one number for each run, `POINTS` to twice as many.

    Attributes:
        step: the last step of each run.
        least, mean, greatest: of its values.
        steps: how many steps the series has.
    """

    step: Floats
    least: Floats
    mean: Floats
    greatest: Floats
    steps: int


@dataclass(frozen=True)
class Curve:
    """What is drawn: series by name, and the records of the validations."""

    series: Mapping[str, Thinned]
    valid: list[dict[str, Any]] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return max((series.steps for series in self.series.values()), default=0)


class CurveRecorder:
    """Takes the log's records one by one and keeps runs of neighbouring steps; of too many, pairs become one run.

    A record costs microseconds, and the memory is 200 KB whatever the number of steps (docs/decisions.md).
    """

    def __init__(self) -> None:
        self._length = 1  # steps of a run
        self._filled = 0  # steps of the last run
        self._runs = 0
        self._steps = 0
        self._step = np.zeros(2 * POINTS)
        self._sums = np.zeros((2 * POINTS, len(SERIES)))
        self._least = np.zeros((2 * POINTS, len(SERIES)))
        self._greatest = np.zeros((2 * POINTS, len(SERIES)))
        self._valid: list[dict[str, Any]] = []

    def add(self, record: Mapping[str, Any]) -> None:
        """Takes a record of the training log, of a step or of a validation, in the order of the steps."""
        if "valid_loss" in record:
            self._valid.append(dict(record))
        elif "loss" in record:
            self._add_step(record["step"], [record.get(name, math.nan) for name in SERIES])

    def curve(self) -> Curve:
        """The curve so far; what is added later does not change it."""
        used = slice(self._runs)
        lengths = np.full(self._runs, float(self._length))
        if self._runs:
            lengths[-1] = self._filled
        series = {
            name: Thinned(
                self._step[used].copy(), self._least[used, at].copy(), self._sums[used, at] / lengths,
                self._greatest[used, at].copy(), self._steps,
            )
            for at, name in enumerate(SERIES)
        }  # fmt: skip
        return Curve(series, list(self._valid))

    def _add_step(self, step: int, values: list[float]) -> None:
        if self._runs == 0 or self._filled == self._length:
            if self._runs == 2 * POINTS:
                self._merge_pairs()
            at, self._filled = self._runs, 0
            self._runs += 1
            self._sums[at], self._least[at], self._greatest[at] = 0.0, values, values
        at = self._runs - 1
        self._step[at] = step
        self._sums[at] += values
        np.fmin(self._least[at], values, out=self._least[at])
        np.fmax(self._greatest[at], values, out=self._greatest[at])
        self._filled += 1
        self._steps += 1

    def _merge_pairs(self) -> None:
        half = slice(POINTS)
        self._step[half] = self._step[1::2]
        self._sums[half] = self._sums[::2] + self._sums[1::2]
        self._least[half] = np.fmin(self._least[::2], self._least[1::2])
        self._greatest[half] = np.fmax(self._greatest[::2], self._greatest[1::2])
        self._runs, self._length = POINTS, 2 * self._length
        self._filled = self._length


class CurvePainter:
    """Draws the curve while training goes on.

    Args:
        path: the picture.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="curve")
        self._drawing: Future[None] | None = None

    def draw(self, curve: Curve, *, wait: bool = False) -> None:
        """Begins to draw the curve, unless another one is still being drawn: the next checkpoint brings a newer one.

        Args:
            curve: what to draw.
            wait: returns only when the picture of this very curve is there.

        Raises:
            OSError: this picture, if waited for, or the one before it could not be written.
        """
        from components.train.report.plots import plot_curve

        if self._drawing is not None:
            if not wait and not self._drawing.done():
                return
            self._drawing.result()
        self._drawing = self._pool.submit(plot_curve, curve, self._path)
        if wait:
            self._drawing.result()
