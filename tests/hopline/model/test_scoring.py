import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from hopline.model import scoring
from hopline.model.network import MemoryNetwork
from hopline.model.scoring import perplexity, score_stream, scoring_windows, window_nll
from hopline.model.streams import TokenStream
from hopline.schema import PAD
from tests.reference.memn2n import next_word_logits

V, M = 11, 4


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    model = MemoryNetwork(vocabulary_size=V, width=6, hops=2, memory=M, init_stddev=0.7)
    model.build((None, M))
    return model


@pytest.fixture(scope="module")
def stream():
    random = np.random.Generator(np.random.Philox(3))
    documents = [random.integers(1, V, size=size) for size in (1, 7, 30, 2)]
    return TokenStream(np.concatenate([[PAD, *document] for document in documents]).astype("int32"), "valid")


def one_by_one(model, stream):
    """Every token alone, with the memory its document allows, by the reference."""
    weights = {
        "A": model.key_table_VF, "C": model.value_table_VF, "W": model.logit_table_VF,
        "T_A": model.hop.key_time_ME, "T_C": model.hop.value_time_ME, "H": model.hop.state_map_EE,
    }  # fmt: skip
    parameters = {name: keras.ops.convert_to_numpy(weight) for name, weight in weights.items()}
    padded = [PAD] * M + stream.ids.tolist()
    for index, token in enumerate(stream.ids):
        if token != PAD:
            logits = next_word_logits(padded[index : index + M], hops=2, **parameters)
            yield np.log(np.exp(logits)[PAD + 1 :].sum()) - logits[token]  # padding is no word


@pytest.mark.parametrize("targets", [1, 5, 64])
def test_every_token_is_scored_once_as_if_it_stood_alone(model, stream, targets):
    nll = score_stream(model, stream, targets)
    assert nll.shape == (stream.targets,)
    np.testing.assert_allclose(nll, list(one_by_one(model, stream)), atol=1e-5, rtol=1e-5)


def test_the_probabilities_of_all_words_sum_to_one(model):
    contexts = np.tile([[3, PAD, 5, 7]], (V - 1, 1))
    windows = np.concatenate([contexts, np.arange(V - 1)[:, None] + 1], axis=1).astype("int32")
    assert np.exp(-window_nll(model, windows).numpy()).sum() == pytest.approx(1, rel=1e-5)


def test_a_bias_is_added_to_the_logits_of_words():
    biased = MemoryNetwork(vocabulary_size=V, width=6, hops=1, memory=M, bias=True, init_stddev=1e-9)
    biased.build((None, M))
    biased.logit_bias_V.assign(np.arange(V) / 4)
    windows = np.concatenate([np.ones((V - 1, M)), np.arange(V - 1)[:, None] + 1], axis=1).astype("int32")
    words = np.arange(1, V) / 4  # without padding
    np.testing.assert_allclose(window_nll(biased, windows)[:, 0], np.log(np.exp(words).sum()) - words, rtol=1e-5)


@pytest.mark.parametrize(("vocabulary", "rows"), [(10_000, 838), (200_001, 256), (8, 1 << 20)])
def test_a_chunk_has_eight_million_logits_or_256_rows(vocabulary, rows):
    assert scoring.chunk_size(vocabulary) == rows


def test_the_tokens_done_are_reported_after_each_batch_as_they_add_up(model, stream):
    done = []
    score_stream(model, stream, 1, done.append)
    assert done[-1] == stream.targets
    assert len(done) == 3  # 44 places, padding included, 16 at once
    assert done == sorted(set(done))


@pytest.mark.parametrize("chunk", [1, 3, 8, 10, 11])
def test_the_size_of_a_chunk_changes_no_score(model, stream, monkeypatch, chunk):
    (windows, *_) = scoring_windows(stream, M, 5, sequences=2)
    whole = window_nll(model, windows)
    monkeypatch.setattr(scoring, "chunk_size", lambda vocabulary: chunk)
    np.testing.assert_allclose(window_nll(model, windows), whole, rtol=1e-6)
    unknown = tf.function(window_nll, input_signature=None, reduce_retracing=True)
    dynamic = unknown.get_concrete_function(model, tf.TensorSpec([None, M + 5], tf.int32))
    np.testing.assert_allclose(dynamic(tf.constant(windows)), whole, rtol=1e-6)


def test_the_logits_of_a_large_vocabulary_are_never_there_all_at_once(monkeypatch):
    rows = []
    real = tf.nn.sparse_softmax_cross_entropy_with_logits
    monkeypatch.setattr(
        tf.nn, "sparse_softmax_cross_entropy_with_logits",
        lambda labels, logits: (rows.append(logits.shape[0]), real(labels=labels, logits=logits))[1],
    )  # fmt: skip
    large = MemoryNetwork(vocabulary_size=200_001, width=2, hops=1, memory=M)
    large.build((None, M))
    window_nll(large, np.ones((4, M + 200), "int32"))
    assert set(rows) == {scoring.chunk_size(200_001)}
    assert rows[0] < 4 * 200


@pytest.mark.parametrize("targets", [1, 3, 50])
def test_scoring_windows_cover_the_stream_once(stream, targets):
    targets_seen = np.concatenate([w[:, M:].ravel() for w in scoring_windows(stream, M, targets, sequences=2)])
    np.testing.assert_array_equal(targets_seen[: len(stream.ids)], stream.ids)
    assert not targets_seen[len(stream.ids) :].any()


def test_perplexity_of_certainty_and_of_the_uniform_distribution():
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(V)) == pytest.approx(V)
    assert perplexity(1e6) == math.inf
