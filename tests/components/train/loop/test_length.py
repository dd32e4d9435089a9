import pytest
import tensorflow as tf

from components.train.loop.length import TimedLength, validation_steps


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["/cpu:0"])


def after(length, seconds):
    """What the length says after steps of so many seconds, and how many of them it took to say it."""
    elapsed = 0.0
    for number, second in enumerate(seconds, start=1):
        elapsed += second
        if end := length.after_step(second, elapsed):
            return end, number
    return None, len(seconds)


def test_as_many_steps_as_the_minutes_have_time_for(strategy):
    length = TimedLength(strategy, 2, 0, validation_steps=0.0)
    end, steps = after(length, [1.0] * 100)
    assert end == pytest.approx(120, abs=1)
    assert steps < 60


def test_compiling_counts_as_time_that_is_gone_but_not_as_the_speed_of_steps(strategy):
    end, _ = after(TimedLength(strategy, 2, 0, validation_steps=0.0), [20.0, *[1.0] * 100])
    assert end == pytest.approx(120 - 19, abs=1)


def test_validations_take_their_share(strategy):
    share = validation_steps(100, 200, averages=True)
    assert share == pytest.approx(0.5)
    length = TimedLength(strategy, 10, 0, validation_steps=share)
    end, steps = after(length, [1.0] * 100)
    assert end == pytest.approx(steps + (600 - steps) / 1.5, abs=1)


def test_steps_of_a_process_before_this_one_are_counted_and_not_its_time(strategy):
    end, _ = after(TimedLength(strategy, 2, 1000, validation_steps=0.0), [1.0] * 100)
    assert end == pytest.approx(1120, abs=1)


def test_without_time_left_it_ends_at_once(strategy):
    end, steps = after(TimedLength(strategy, 0.1, 0, validation_steps=0.0), [1.0] * 100)
    assert end == steps
