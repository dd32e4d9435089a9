import json

import keras
import numpy as np
import pytest

from components.train.report.attention import ATTENTION_FILE, ATTENTION_PICTURE, mean_attention, write_attention
from hopline.model.network import MemoryNetwork
from hopline.model.streams import TokenStream
from hopline.schema import PAD

V, E, K, M, T = 23, 8, 3, 6, 5


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(4)
    network = MemoryNetwork(vocabulary_size=V, width=E, hops=K, memory=M, init_stddev=0.6)
    network.build((None, M + T - 1))
    return network


def stream(*lengths, seed=7):
    """Documents of random words, each behind one PAD."""
    random = np.random.Generator(np.random.Philox(seed))
    documents = [np.array([PAD, *random.integers(1, V, size=length)], np.int32) for length in lengths]
    return TokenStream(np.concatenate(documents), "valid")


def one_by_one(model, tokens, slots):
    """Mean attention over the targets that see exactly `slots` slots, each computed alone; nearest slot first."""
    found = []
    for at, target in enumerate(tokens.ids):
        window = tokens.windows([at], model.memory, 1)[:, :-1]
        seen = min(len(window[0]) - 1 - max(np.nonzero(window[0] == PAD)[0], default=-1), model.slots)
        if target != PAD and seen == slots:
            found.append([np.array(probs)[0, 0, ::-1] for probs in model.attention(window)])
    return np.mean(found, axis=0), len(found)


def test_it_is_the_mean_over_all_targets_with_full_memory(model):
    tokens = stream(30, 4, 9, 80)
    expected, count = one_by_one(model, tokens, slots=M)
    attention = mean_attention(model, tokens, targets=T)
    assert (attention.targets, attention.slots) == (count, M)
    np.testing.assert_allclose(attention.means, expected, atol=1e-6)


@pytest.mark.parametrize("options", [
    {"heads": 2}, {"slot_words": 3}, {"tie": "all", "heads": 2, "norm": True, "slot_words": 2, "projections": True},
])  # fmt: skip
def test_with_options_it_is_the_mean_of_all_heads_over_the_slots_that_there_are(options, tmp_path):
    keras.utils.set_random_seed(5)
    network = MemoryNetwork(vocabulary_size=V, width=E, hops=K, memory=M, init_stddev=0.6, **options)
    network.build((None, M + T - 1))
    tokens, slots = stream(30, 4, 60), M - options.get("slot_words", 1) + 1
    expected, count = one_by_one(network, tokens, slots)
    attention = mean_attention(network, tokens, targets=T)
    assert (attention.targets, attention.slots, attention.means.shape) == (count, slots, (K, slots))
    np.testing.assert_allclose(attention.means, expected, atol=1e-6)
    np.testing.assert_allclose(attention.means.sum(axis=1), 1, atol=1e-5)
    write_attention(network, tokens, T, tmp_path)
    written = json.loads((tmp_path / ATTENTION_FILE).read_text())
    assert (written["heads"], written["slot_words"]) == (network.heads, network.slot_words)


def test_without_full_memory_the_targets_with_the_most_count(model):
    tokens = stream(4, 3, 4, 2)
    expected, count = one_by_one(model, tokens, slots=3)
    attention = mean_attention(model, tokens, targets=T)
    assert (attention.targets, attention.slots) == (count, 3)
    assert count == 2
    np.testing.assert_allclose(attention.means, expected, atol=1e-6)
    np.testing.assert_allclose(attention.means[:, :3].sum(axis=1), 1, atol=1e-6)
    assert (attention.means[:, 3:] == 0).all()


def test_documents_of_one_word_have_nothing_to_read(model):
    attention = mean_attention(model, stream(1, 1), targets=T)
    assert (attention.targets, attention.slots) == (2, 0)
    assert (attention.means == 0).all()


def test_the_number_of_targets_computed_together_does_not_matter(model):
    tokens = stream(40, 50)
    one, other = (mean_attention(model, tokens, targets=targets) for targets in (1, 13))
    assert one.targets == other.targets
    np.testing.assert_allclose(one.means, other.means, atol=1e-6)


def test_a_large_split_is_sampled_evenly_from_end_to_end(model):
    early, late = stream(400, seed=1), stream(400, seed=2)
    both = TokenStream(np.concatenate([early.ids, late.ids]), "valid")
    attention = mean_attention(model, both, targets=T, sample=100)
    assert 0 < attention.targets <= 100
    half = mean_attention(model, early, targets=T, sample=50).targets + mean_attention(model, late, T, 50).targets
    assert attention.targets == pytest.approx(half, abs=2 * T)
    whole = mean_attention(model, both, targets=T)
    np.testing.assert_allclose(attention.means, whole.means, atol=0.05)


def test_the_file_holds_the_numbers_by_hop_nearest_word_first(model, tmp_path):
    tokens = stream(30, 80)
    write_attention(model, tokens, T, tmp_path)
    written = json.loads((tmp_path / ATTENTION_FILE).read_text())
    attention = mean_attention(model, tokens, targets=T)
    assert (written["split"], written["targets"], written["memory"]) == ("valid", attention.targets, M)
    assert [row["hop"] for row in written["hops"]] == [1, 2, 3]
    np.testing.assert_allclose([row["mean_probability"] for row in written["hops"]], attention.means, atol=1e-7)
    assert (tmp_path / ATTENTION_PICTURE).stat().st_size > 0
