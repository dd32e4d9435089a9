import math
import time
import warnings

import numpy as np
import pytest
from matplotlib import image

from components.train.report import plots
from components.train.report.curve import CurveRecorder
from components.train.report.plots import plot_attention, plot_curve


@pytest.fixture(autouse=True)
def a_warning_is_an_error():
    """Matplotlib warns where it draws nothing, or something else than was asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def records(count, validate_every=0, **changed):
    """A log; `changed` maps a name to a function of the step."""
    result = []
    for step in range(1, count + 1):
        record = {"step": step, "loss": 4.0 + 3.0 / step, "gradient_norm": 0.5 + 0.1 * (step % 3)}
        record |= {"learning_rate": 1.0, "targets_per_second": 1000.0 + step % 7}
        result.append(record | {name: value(step) for name, value in changed.items()})
        if validate_every and step % validate_every == 0:
            result.append({"step": step, "valid_loss": 4.2, "learning_rate": 1.0})
    return result


def plot(log, path):
    """Draws the log's curve."""
    recorder = CurveRecorder()
    for record in log:
        recorder.add(record)
    plot_curve(recorder.curve(), path)


def ink(path):
    """Share of the picture that is not white."""
    return float((image.imread(path)[:, :, :3].min(axis=2) < 0.95).mean())


def colour_rows(path, colour):
    """The rows of the picture that hold a colour, given as #rrggbb."""
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.nonzero((np.abs(image.imread(path)[:, :, :3] - wanted).max(axis=2) < 0.02).any(axis=1))[0]


@pytest.mark.parametrize("count", [1, 2, 30, 999, 5000])
@pytest.mark.parametrize("validate_every", [0, 1, 10])
def test_a_log_of_any_length_gives_a_picture_with_every_series(tmp_path, count, validate_every):
    path = tmp_path / "curve.png"
    plot(records(count, validate_every), path)
    for colour in (plots._TRAIN, plots._RATE, plots._NORM, plots._SPEED):
        assert colour_rows(path, colour).size, colour
    assert bool(colour_rows(path, plots._VALID).size) == (0 < validate_every <= count)
    assert [file.name for file in tmp_path.iterdir()] == ["curve.png"]


def test_a_log_without_a_step_gives_no_picture(tmp_path):
    plot([], tmp_path / "curve.png")
    assert not (tmp_path / "curve.png").exists()


def test_a_long_run_is_drawn_quickly_into_a_small_file(tmp_path):
    noise = np.random.Generator(np.random.Philox(3)).normal(size=100_001)
    log = records(100_000, 1000, loss=lambda step: 4.0 + 0.1 * noise[step])
    started = time.process_time()
    plot(log, tmp_path / "curve.png")
    assert time.process_time() - started < 10  # it takes half a second; unthinned, noise takes many times as long
    assert (tmp_path / "curve.png").stat().st_size < 400_000


def test_the_averaged_weights_have_a_line_of_their_own(tmp_path):
    log = [record | ({"average_valid_loss": 3.9} if "valid_loss" in record else {}) for record in records(50, 10)]
    plot(log, tmp_path / "curve.png")
    assert colour_rows(tmp_path / "curve.png", plots._AVERAGE).size
    plot(records(50, 10), tmp_path / "without.png")
    assert not colour_rows(tmp_path / "without.png", plots._AVERAGE).size


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_values_that_a_log_axis_cannot_show_are_gaps(tmp_path, value):
    path = tmp_path / "curve.png"
    log = records(200, 50, learning_rate=lambda step: value if step > 100 else 1.0 / step, gradient_norm=lambda _: 0.0)
    plot(log, path)
    assert colour_rows(path, plots._RATE).size
    assert colour_rows(path, plots._NORM).size, "all zero: it is drawn on a linear axis"


def test_a_loss_whose_perplexity_overflows_is_drawn(tmp_path):
    path = tmp_path / "curve.png"
    plot([*records(20, loss=lambda step: 5000.0 if step == 3 else 4.0), {"step": 20, "valid_loss": 5000.0}], path)
    assert colour_rows(path, plots._TRAIN).size
    assert colour_rows(path, plots._VALID).size


@pytest.mark.parametrize(("hops", "slots"), [(1, 1), (2, 25), (6, 100), (20, 500)])
def test_attention_of_any_shape_is_drawn(tmp_path, hops, slots):
    means = np.random.Generator(np.random.Philox(5)).dirichlet(np.ones(slots), size=hops)
    plot_attention(means, "a title", tmp_path / "attention.png")
    assert ink(tmp_path / "attention.png") > 0.1
    assert [file.name for file in tmp_path.iterdir()] == ["attention.png"]


def test_attention_of_a_model_with_nothing_to_read_is_drawn(tmp_path):
    plot_attention(np.zeros((2, 1)), "a title", tmp_path / "attention.png")
    assert (tmp_path / "attention.png").exists()


def test_the_word_just_before_the_target_is_on_the_right(tmp_path):
    means = np.full((1, 10), 1e-6)
    means[0, 0] = 1.0
    plot_attention(means, "", tmp_path / "attention.png")
    picture = image.imread(tmp_path / "attention.png")[:, :, :3]
    dark = np.nonzero((picture[40] < 0.1).all(axis=1))[0]  # a row of pixels through the only hop
    bright = np.nonzero(np.abs(picture[40] - [0.987, 0.991, 0.750]).max(axis=1) < 0.02)[0]
    assert bright.size
    assert np.median(dark) < bright.min()


def test_perplexity_is_the_exponential_of_the_loss():
    np.testing.assert_allclose(plots._perplexity(np.array([0.0, math.log(100.0)])), [1.0, 100.0])
