import numpy as np
import pytest
import tensorflow as tf

from components.train.loop.batches import Batches
from components.train.loop.dropout import PLACES, slot_dropout
from hopline.config.train import TrainConfig
from hopline.model.streams import TokenStream

STREAM = TokenStream(np.arange(100, dtype=np.int32), "train")


def keys(step, first=0, count=4):
    return Batches(STREAM, TrainConfig(sequences=4, targets=5), memory=3).mask_keys(step, first, count)


def dropped(rate, keys_BP2, place="state"):
    ones = tf.ones((len(keys_BP2), 50, 40))
    function = tf.function(lambda: slot_dropout(rate, tf.constant(keys_BP2))(place, ones), jit_compile=True)
    return function().numpy()


def test_a_slot_s_mask_depends_on_the_slot_and_not_on_who_holds_it():
    whole = dropped(0.5, keys(3))
    np.testing.assert_array_equal(whole[2:], dropped(0.5, keys(3, first=2, count=2)))


def test_slots_steps_and_places_have_masks_of_their_own():
    one = dropped(0.5, keys(3))
    for other in (one[::-1], dropped(0.5, keys(4)), dropped(0.5, keys(3), place=PLACES[0])):
        assert 0.4 < (one != other).mean() < 0.6


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_dropped_and_the_mean_is_kept(rate):
    values = dropped(rate, keys(0))
    assert set(np.unique(values)) == {0.0, np.float32(1 / (1 - rate))}
    spread = np.sqrt(rate * (1 - rate) / values.size)
    assert abs((values == 0).mean() - rate) < 5 * spread
