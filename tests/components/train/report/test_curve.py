import json
import threading

import numpy as np
import pytest

from components.train.report import plots
from components.train.report.curve import POINTS, SERIES, CurvePainter, CurveRecorder
from components.train.report.log import TrainingLog


def recorded(values, **others):
    recorder = CurveRecorder()
    for step, value in enumerate(values, start=1):
        recorder.add({"step": step, **dict.fromkeys(SERIES, 1.0), "loss": value, **others})
    return recorder


@pytest.mark.parametrize("count", [1, 2, POINTS, 2 * POINTS])
def test_a_short_run_is_kept_step_by_step(count):
    values = np.random.Generator(np.random.Philox(1)).normal(size=count)
    found = recorded(values).curve().series["loss"]
    np.testing.assert_array_equal(found.step, np.arange(1, count + 1))
    for kept in (found.least, found.mean, found.greatest):
        np.testing.assert_array_equal(kept, values)


@pytest.mark.parametrize("count", [2 * POINTS + 1, 4 * POINTS, 4 * POINTS + 3, 123_457])
def test_a_long_run_keeps_its_extremes_and_its_mean_in_a_bounded_number_of_runs(count):
    values = np.random.Generator(np.random.Philox(4)).normal(size=count)
    values[count // 3], values[-1] = 50.0, -60.0
    found = recorded(values).curve().series["loss"]
    assert POINTS < len(found.step) <= 2 * POINTS
    assert (found.steps, found.step[-1]) == (count, count)
    assert (found.greatest.max(), found.least.min()) == (50.0, -60.0)
    lengths = np.diff(found.step, prepend=0)
    assert len(set(lengths[:-1])) == 1
    starts = (found.step - lengths).astype(int)
    for kept, reduced in ((found.least, np.fmin), (found.greatest, np.fmax)):
        np.testing.assert_array_equal(kept, reduced.reduceat(values, starts))
    np.testing.assert_allclose(found.mean, np.add.reduceat(values, starts) / lengths)


def test_what_is_added_later_does_not_change_a_curve():
    recorder = recorded([1.0, 2.0])
    curve = recorder.curve()
    recorder.add({"step": 3, **dict.fromkeys(SERIES, 9.0)})
    recorder.add({"step": 3, "valid_loss": 1.0})
    assert curve.series["loss"].greatest.tolist() == [1.0, 2.0]
    assert curve.valid == []


def test_after_a_restart_the_curve_is_that_of_a_run_that_was_never_interrupted(tmp_path):
    def write(log, step):
        log.write(step=step, **dict.fromkeys(SERIES, 1.0 / step))
        if step % 3 == 0:
            log.write(step=step, valid_loss=2.0, average_valid_loss=1.5)

    whole, part = (TrainingLog(tmp_path / name / "log.jsonl", 0) for name in folders(tmp_path, "whole", "part"))
    for step in range(1, 10):
        write(whole, step)
    for step in range(1, 7):
        write(part, step)
    part.close()
    again = TrainingLog(tmp_path / "part" / "log.jsonl", 4)  # what came after step 4 is made again
    for step in range(5, 10):
        write(again, step)
    mine, theirs = again.curve(), whole.curve()
    for name in SERIES:
        for kind in ("step", "least", "mean", "greatest"):
            np.testing.assert_array_equal(getattr(mine.series[name], kind), getattr(theirs.series[name], kind))
    assert [record["step"] for record in mine.valid] == [3, 6, 9]


def folders(parent, *names):
    for name in names:
        (parent / name).mkdir()
        yield name


@pytest.fixture
def slow_plot(monkeypatch):
    """Drawing waits for `may`; `drawn` are the steps of the curves that were."""
    may, drawn = threading.Event(), []

    def draw(curve, path):
        may.wait(30)
        drawn.append(curve.steps)
        path.write_text(json.dumps(curve.steps))

    monkeypatch.setattr(plots, "plot_curve", draw)
    return may, drawn


def test_training_does_not_wait_for_a_picture_and_curves_that_were_overtaken_are_not_drawn(tmp_path, slow_plot):
    may, drawn = slow_plot
    painter = CurvePainter(tmp_path / "curve.png")
    for steps in (1, 2, 3):
        painter.draw(recorded([1.0] * steps).curve())
    assert drawn == []
    may.set()
    painter.draw(recorded([1.0] * 4).curve(), wait=True)
    assert drawn == [1, 4]
    assert (tmp_path / "curve.png").read_text() == "4"


def test_a_picture_that_could_not_be_written_is_an_error_at_the_next(tmp_path, slow_plot):
    may, _ = slow_plot
    may.set()
    painter = CurvePainter(tmp_path / "missing" / "curve.png")
    painter.draw(recorded([1.0]).curve())
    with pytest.raises(OSError, match="missing"):
        painter.draw(recorded([1.0]).curve(), wait=True)
