"""Question 1: what is said of the defects stays true."""

import numpy as np
import pytest

from benchmarks.questions.temporal_encodings import DEFECTS, AskedNetwork, Setting, run, variants
from benchmarks.questions.text import word_frequency_loss

SETTING = Setting(examples=2000, vocabulary=40, memory=6, width=16, hops=2, steps=300)


@pytest.fixture(scope="module")
def ids():
    """Words of very different frequencies."""
    random = np.random.Generator(np.random.Philox(1))
    shares = 1 / np.arange(1, 41) ** 1.5
    return random.choice(40, SETTING.examples + SETTING.memory, p=shares / shares.sum()).astype(np.int32)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "learned"])
def test_the_described_update_alone_stalls_before_word_frequencies_with_and_without_temporal_encodings(ids, kind):
    frequencies = word_frequency_loss(ids, SETTING.vocabulary)
    stalled, _ = run(SETTING, frozenset({"update"}), kind, ids)
    repaired, _ = run(SETTING, frozenset(), kind, ids)
    assert stalled > frequencies + 0.3
    assert repaired < frequencies + 0.15


def test_each_defect_is_repaired_alone_and_left_alone():
    rows = dict(variants())
    assert len(rows) == 2 * len(DEFECTS) + 2
    assert sorted(map(len, rows.values())) == [0, 1, 1, 1, 1, 1, 4, 4, 4, 4, 4, 5]


@pytest.mark.parametrize(("kind", "weights"), [("learned", 6), ("sinusoidal", 4), ("none", 4)])
def test_the_network_has_its_encodings_and_one_hop_less_where_it_counts_wrong(kind, weights):
    network = AskedNetwork(SETTING, frozenset({"hops"}), kind)
    assert network(np.ones((2, SETTING.memory), np.int32)).shape == (2, SETTING.vocabulary)
    assert len(network.trainable_variables) == weights
    assert (network.hops, AskedNetwork(SETTING, frozenset(), kind).hops) == (1, 2)
