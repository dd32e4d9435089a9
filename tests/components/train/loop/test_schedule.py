import numpy as np
import pytest

from components.train.loop.schedule import average_share, drop_share, learning_rate, tail_start
from hopline.config.train import TrainConfig


def rates(steps=100, annealed=None, **settings):
    config = TrainConfig(**{"learning_rate": 0.5, "min_learning_rate": 0.05, **settings})
    return [learning_rate(config, annealed or config.learning_rate, step, steps) for step in range(steps)]


@pytest.mark.parametrize("schedule", ["plateau", "constant"])
def test_between_validations_the_learning_rate_stays(schedule):
    assert set(rates(schedule=schedule)) == {0.5}


def test_on_a_plateau_it_is_what_annealing_has_left():
    assert set(rates(annealed=0.2)) == {0.2}


def test_the_cosine_falls_from_the_greatest_to_the_least_and_is_halfway_in_the_middle():
    found = rates(schedule="cosine")
    assert found[0] == 0.5
    assert found[50] == pytest.approx((0.5 + 0.05) / 2)
    assert found[-1] == pytest.approx(0.05, abs=2e-4)
    assert (np.diff(found) < 0).all()


def test_the_cosine_stays_at_the_least_after_its_end():
    config = TrainConfig(schedule="cosine", learning_rate=0.5, min_learning_rate=0.05)
    assert learning_rate(config, 0.5, 150, 100) == pytest.approx(0.05)


@pytest.mark.parametrize("schedule", ["plateau", "constant", "cosine"])
def test_the_warm_up_is_a_line_that_ends_at_what_the_schedule_says(schedule):
    warmed, plain = rates(schedule=schedule, warmup_steps=4), rates(schedule=schedule)
    np.testing.assert_allclose(warmed[:4], [0.25 * plain[0], 0.5 * plain[1], 0.75 * plain[2], plain[3]])
    assert warmed[4:] == plain[4:]


def test_the_shares_of_an_exponential_average_give_each_step_its_weight_without_bias():
    config = TrainConfig(average="ema", ema_decay=0.9)
    weights = np.zeros(30)
    for step in range(30):
        share = average_share(config, step, 30)
        weights *= 1 - share
        weights[step] += share
    expected = 0.9 ** np.arange(29, -1, -1)
    np.testing.assert_allclose(weights, expected / expected.sum())


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 30])
def test_the_tail_is_the_mean_of_the_last_third(steps):
    config = TrainConfig(average="tail", schedule="constant")
    weights = np.zeros(steps)
    for step in range(steps):
        share = average_share(config, step, steps)
        weights *= 1 - share
        weights[step] += share
    third = max(1, steps // 3)
    np.testing.assert_allclose(weights, [0] * (steps - third) + [1 / third] * third)
    assert steps - tail_start(steps) == steps // 3


def test_without_an_average_the_weights_are_all_of_it():
    assert average_share(TrainConfig(), 7, 30) == 1.0


@pytest.mark.parametrize(
    ("epochs", "step", "share"),
    [(0, 0, 1.0), (0, 500, 1.0), (2, 0, 0.0), (2, 50, 0.25), (2, 200, 1.0), (2, 900, 1.0), (0.5, 25, 0.5)],
)
def test_the_rates_of_dropout_rise_in_a_line_to_the_whole(epochs, step, share):
    assert drop_share(TrainConfig(drop_warmup_epochs=epochs), step, steps_per_epoch=100) == share
