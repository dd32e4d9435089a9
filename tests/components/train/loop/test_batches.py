import numpy as np
import pytest

from components.train.loop.batches import Batches
from hopline.config.train import TrainConfig
from hopline.model.streams import TokenStream
from hopline.schema import PAD

STREAM = TokenStream(np.array([PAD, *range(1, 40), PAD, *range(40, 101)], np.int32), "train")
M = 3


def batches(**settings):
    return Batches(STREAM, TrainConfig(**{"sequences": 4, "targets": 5, **settings}), memory=M)


@pytest.mark.parametrize("sampling", ["random", "shuffled"])
def test_a_batch_is_a_function_of_seed_and_step(sampling):
    one, again, other = batches(sampling=sampling), batches(sampling=sampling), batches(sampling=sampling, seed=9)
    for step in (0, 1, 7, 1000):
        np.testing.assert_array_equal(one.windows(step, 0, 4), again.windows(step, 0, 4))
    assert any((one.starts(step) != other.starts(step)).any() for step in range(3))
    assert (one.starts(0) != one.starts(1)).any()


@pytest.mark.parametrize("sampling", ["random", "shuffled"])
def test_a_batch_does_not_depend_on_those_asked_for_before(sampling):
    last = batches(sampling=sampling).steps_per_epoch - 1
    forward, backward = batches(sampling=sampling), batches(sampling=sampling)
    steps = [0, last, last + 1, 3 * last, 7 * last + 2]  # over the ends of epochs
    found = [forward.starts(step) for step in steps]
    again = [backward.starts(step) for step in reversed(steps)]
    np.testing.assert_array_equal(found, again[::-1])
    assert (found[0] != found[2]).any(), "each epoch has an order of its own"


def test_an_epoch_is_shuffled_once_and_not_at_each_step(monkeypatch):
    source, shuffled = batches(sampling="shuffled"), []
    draw = source._random
    monkeypatch.setattr(
        source, "_random", lambda counter, purpose=0: shuffled.append(counter) or draw(counter, purpose)
    )
    for step in range(2 * source.steps_per_epoch):
        source.windows(step, 0, 4)
    assert shuffled == [0, 1]


@pytest.mark.parametrize("sampling", ["random", "shuffled"])
def test_workers_shares_make_up_the_global_batch(sampling):
    source = batches(sampling=sampling)
    shares = [source.windows(3, first, 2) for first in (0, 2)]
    np.testing.assert_array_equal(np.concatenate(shares), source.windows(3, 0, 4))


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_shuffled_windows_hold_every_token_as_a_target_once_an_epoch(epoch):
    source = batches(sampling="shuffled")
    steps = range(epoch * source.steps_per_epoch, (epoch + 1) * source.steps_per_epoch)
    targets = np.concatenate([source.windows(step, 0, 4)[:, M:].ravel() for step in steps])
    np.testing.assert_array_equal(np.sort(targets[targets != PAD]), np.arange(1, 101))


def test_random_positions_draw_every_token_equally_often():
    source = batches(sampling="random", sequences=1000)
    targets = np.concatenate([source.windows(step, 0, 1000)[:, M:].ravel() for step in range(20)])
    counts = np.bincount(targets, minlength=101)[1:]
    expected = counts.mean()
    # 100,000 draws in runs of 5: the spread of each count is about 5 sqrt(expected / 5).
    assert np.abs(counts - expected).max() < 6 * np.sqrt(5 * expected)


def test_an_epoch_of_random_positions_has_as_many_targets_as_the_split():
    assert batches(sampling="random").steps_per_epoch == 100 // (4 * 5)
