import numpy as np
import pytest
import tensorflow as tf

from components.train.loop.batches import Batches
from components.train.loop.dropout import RATES, make_drop, uniform
from hopline.config.train import TrainConfig
from hopline.model.network import keep_all
from hopline.model.streams import TokenStream

STREAM = TokenStream(np.arange(100, dtype=np.int32), "train")
V = 30
TOKENS = np.random.Generator(np.random.Philox(2)).integers(0, V, size=(4, 50)).astype(np.int32)


def keys(step, first=0, count=4):
    return Batches(STREAM, TrainConfig(sequences=4, targets=5), memory=3).mask_keys(step, first, count)


def dropped(keys_B2, place="state", hop=0, share=1.0, **rates):
    """What is left of units that are all 1, 4 x 50 x 40."""

    def units():
        drop = make_drop(TrainConfig(**rates), tf.constant(keys_B2), V, share)
        return drop(place, tf.ones((len(keys_B2), 50, 40)), tokens_BL=tf.constant(TOKENS[: len(keys_B2)]), hop=hop)

    return tf.function(units, jit_compile=True)().numpy()


@pytest.mark.parametrize("count", [1, 4, 5, 320, 10_001])
@pytest.mark.parametrize("compiled", [False, True])
def test_random_numbers_are_those_of_tensorflow_s_philox_as_xla_has_it(count, compiled):
    seeds = tf.constant([[123, 456], [0, 0], [2**31 - 1, 5 * 65536 + 3]], tf.int32)

    def one_by_one(seeds):
        return tf.stack([tf.random.stateless_uniform((count,), seed, alg="philox") for seed in tf.unstack(seeds)])

    found = tf.function(uniform, jit_compile=compiled)(seeds, count)
    np.testing.assert_array_equal(found, tf.function(one_by_one, jit_compile=True)(seeds))


def test_a_slot_s_mask_depends_on_the_slot_and_not_on_who_holds_it():
    whole = dropped(keys(3), drop_state=0.5)
    np.testing.assert_array_equal(whole[2:], dropped(keys(3, first=2, count=2), drop_state=0.5))


@pytest.mark.parametrize("place", RATES)
def test_a_place_has_its_own_rate_and_the_others_none(place):
    for key in ("drop_embeddings", "drop_memory", "drop_read", "drop_state"):
        found = (dropped(keys(0), place, **{key: 0.5}) == 0).mean()
        assert abs(found - (0.5 if RATES[place] == key else 0)) < 0.02


def test_slots_steps_places_and_hops_have_masks_of_their_own():
    rates = {"drop_embeddings": 0.5, "drop_memory": 0.5, "drop_read": 0.5, "drop_state": 0.5}
    masks = [dropped(keys(3), place, **rates) for place in RATES]
    masks += [dropped(keys(3), "read", hop=hop, **rates) for hop in (1, 2)]
    masks += [masks[-1][::-1], dropped(keys(4), **rates)]
    for at, one in enumerate(masks):
        for other in masks[at + 1 :]:
            assert 0.4 < (one != other).mean() < 0.6


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_dropped_and_the_mean_is_kept(rate):
    values = dropped(keys(0), drop_state=rate)
    assert set(np.unique(values)) == {0.0, np.float32(1 / (1 - rate))}
    spread = np.sqrt(rate * (1 - rate) / values.size)
    assert abs((values == 0).mean() - rate) < 5 * spread


@pytest.mark.parametrize("place", RATES)
def test_a_shared_mask_is_the_same_at_all_positions_of_a_sequence_and_another_in_the_next(place):
    values = dropped(keys(1), place, **{RATES[place]: 0.5}, drop_shared=True)
    assert (values == values[:, :1]).all()
    assert 0.2 < (values[0] != values[1]).mean() < 0.8
    assert 0.3 < (values == 0).mean() < 0.7


def test_a_dropped_word_type_is_gone_wherever_it_stands_in_its_sequence_and_only_there():
    values = dropped(keys(2), "words", drop_words=0.4)
    assert (values == values[:, :, :1]).all(), "all units of a word or none"
    gone = [set(TOKENS[slot][values[slot, :, 0] == 0]) for slot in range(4)]
    there = [set(TOKENS[slot][values[slot, :, 0] > 0]) for slot in range(4)]
    assert all(not (lost & kept) for lost, kept in zip(gone, there, strict=True))
    assert gone[0] != gone[1]
    assert 0.2 < np.mean([len(lost) / len(lost | kept) for lost, kept in zip(gone, there, strict=True)]) < 0.6
    assert values.max() == pytest.approx(1 / 0.6)


def test_the_same_word_types_are_dropped_from_each_table():
    rates = {"drop_words": 0.5}
    np.testing.assert_array_equal(dropped(keys(2), "words", **rates), dropped(keys(2), "words", **rates))


def test_words_and_their_units_are_dropped_independently():
    both = dropped(keys(2), "words", drop_words=0.4, drop_embeddings=0.5)
    words, units = dropped(keys(2), "words", drop_words=0.4), dropped(keys(2), "words", drop_embeddings=0.5)
    np.testing.assert_allclose(both, words * units, rtol=1e-6)


def test_without_a_rate_nothing_is_made():
    assert make_drop(TrainConfig(drop_shared=True), tf.constant(keys(0)), V) is keep_all


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_rate_drops_no_more(share):
    values, whole = dropped(keys(0), share=tf.constant(share), drop_state=0.8), dropped(keys(0), drop_state=0.8)
    assert abs((values == 0).mean() - 0.8 * share) < 0.02
    assert values[whole > 0].min() > 0  # what the whole rate keeps, its share keeps too
    assert values.max() == pytest.approx(1 / (1 - 0.8 * share))
