import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from hopline.model.network import TIES, MemoryNetwork
from hopline.model.scoring import window_nll
from hopline.schema import PAD
from tests.reference.memn2n import next_word_logits, read_memory

V, E, K, M, T = 23, 10, 3, 6, 5
VARIANTS = list(itertools.product(TIES, [0, 4], [False, True]))


def make_model(tie="none", factor=0, bias=False, seed=5):
    keras.utils.set_random_seed(seed)
    model = MemoryNetwork(
        vocabulary_size=V, width=E, hops=K, memory=M, tie=tie, factor=factor, bias=bias, init_stddev=0.6
    )
    model.build((None, M + T - 1))
    if bias:
        model.logit_bias_V.assign(np.linspace(-1, 1, V))
    return model


def some_tokens(batch=4, padding=0.2, length=M + T - 1):
    random = np.random.Generator(np.random.Philox(1))
    tokens = random.integers(1, V, size=(batch, length)).astype("int32")
    return np.where(random.random(tokens.shape) < padding, PAD, tokens)


def train(model, steps=3):
    optimizer = keras.optimizers.SGD(0.5)
    windows = some_tokens(length=M + T)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(window_nll(model, tf.constant(windows)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)


def parameters(model):
    """The weights as the reference takes them."""
    tables = {"A": model.key_table_VF, "C": model.value_table_VF, "W": model.logit_table_VF}
    hop = {"T_A": model.hop.key_time_ME, "T_C": model.hop.value_time_ME, "H": model.hop.state_map_EE}
    optional = {"P": model.projection_FE, "b": model.logit_bias_V}
    return {
        name: None if weight is None else keras.ops.convert_to_numpy(weight).astype("float64")
        for name, weight in {**tables, **hop, **optional}.items()
    }


@pytest.mark.parametrize(("tie", "factor", "bias"), VARIANTS)
def test_the_forward_pass_equals_the_paper_s_equations(tie, factor, bias):
    model = make_model(tie, factor, bias)
    tokens = some_tokens()
    weights = parameters(model)
    expected = [[next_word_logits(row[t : t + M], hops=K, **weights) for t in range(T)] for row in tokens]
    np.testing.assert_allclose(model(tokens), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("factor", [0, 4])
def test_the_attention_of_every_hop_equals_the_paper_s_equations(factor):
    model = make_model(factor=factor)
    tokens = some_tokens()
    weights = {name: value for name, value in parameters(model).items() if name not in ("W", "b")}
    expected_BTKM = [[read_memory(row[t : t + M], hops=K, **weights)[1] for t in range(T)] for row in tokens]
    probs_KBTM = np.array(model.attention(tokens))
    np.testing.assert_allclose(probs_KBTM, np.moveaxis(expected_BTKM, 2, 0), atol=1e-6, rtol=1e-5)


def test_attention_is_shared_among_the_visible_slots_alone():
    tokens = some_tokens()
    visible_BTM = np.array([[np.cumsum((row[t : t + M] == PAD)[::-1])[::-1] == 0 for t in range(T)] for row in tokens])
    assert not visible_BTM.all()
    assert not visible_BTM.any(axis=-1).all(), "some target sees nothing"
    for probs_BTM in make_model().attention(tokens):
        assert (np.array(probs_BTM)[~visible_BTM] == 0).all()
        np.testing.assert_allclose(np.sum(probs_BTM, axis=-1), visible_BTM.any(axis=-1), atol=1e-6)


@pytest.mark.parametrize(
    ("tie", "tables"), [("none", 3), ("input", 2), ("output", 2), ("all", 1)], ids=["none", "input", "output", "all"]
)
@pytest.mark.parametrize("factor", [0, 4])
def test_a_tied_table_is_one_variable_and_counted_once(tie, tables, factor):
    model = make_model(tie, factor)
    others = E * E + 2 * M * E + factor * E
    assert model.count_params() == tables * V * (factor or E) + others
    assert len({id(variable) for variable in model.trainable_variables}) == len(model.trainable_variables)


def tied_pairs(model):
    tables = {"A": model.key_table_VF, "C": model.value_table_VF, "W": model.logit_table_VF}
    return {(a, b) for a, b in itertools.combinations(tables, 2) if tables[a] is tables[b]}


PAIRS = {"none": set(), "input": {("A", "W")}, "output": {("C", "W")}, "all": {("A", "C"), ("A", "W"), ("C", "W")}}


@pytest.mark.parametrize(("tie", "factor", "bias"), VARIANTS)
def test_tying_survives_training_saving_and_loading(tie, factor, bias, tmp_path):
    model = make_model(tie, factor, bias)
    train(model)
    assert tied_pairs(model) == PAIRS[tie]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert tied_pairs(loaded) == PAIRS[tie]
    assert loaded.count_params() == model.count_params()
    np.testing.assert_array_equal(loaded(some_tokens()), model(some_tokens()))
    train(model)
    train(loaded)
    assert tied_pairs(loaded) == PAIRS[tie]
    np.testing.assert_allclose(loaded(some_tokens()), model(some_tokens()), rtol=1e-6, atol=1e-6)


@keras.saving.register_keras_serializable(package="seed")
class TiedEmbeddingsTransposed(keras.layers.Layer):
    """The well-known way to tie: a layer that is handed another layer, and does not put it into its config."""

    def __init__(self, tied_to=None, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.tied_to = tied_to
        self.activation = keras.activations.get(activation)

    def call(self, inputs):
        return self.activation(keras.ops.matmul(inputs, keras.ops.transpose(self.tied_to.embeddings)))

    def get_config(self):
        return {**super().get_config(), "activation": keras.activations.serialize(self.activation)}


def test_the_well_known_tied_layer_trains_but_cannot_be_loaded_while_ours_can(tmp_path):
    embedding = keras.layers.Embedding(V, E)
    inputs = keras.Input((M,), dtype="int32")
    theirs = keras.Model(inputs, TiedEmbeddingsTransposed(tied_to=embedding)(embedding(inputs)))
    theirs.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    theirs.fit(some_tokens(length=M), some_tokens(length=M), verbose=0)
    theirs.save(tmp_path / "theirs.keras")
    with pytest.raises(AttributeError, match="embeddings"):
        keras.saving.load_model(tmp_path / "theirs.keras")

    ours = make_model("input")
    train(ours)
    ours.save(tmp_path / "ours.keras")
    loaded = keras.saving.load_model(tmp_path / "ours.keras")
    np.testing.assert_array_equal(loaded(some_tokens()), ours(some_tokens()))


def test_the_length_of_a_window_does_not_change_a_target_s_logits():
    model = make_model()
    tokens = some_tokens(batch=1)
    alone = [model(tokens[:, t : t + M])[0, 0] for t in range(T)]
    np.testing.assert_allclose(model(tokens)[0], alone, atol=1e-5, rtol=1e-5)


def test_the_first_target_of_a_document_sees_no_memory():
    model = make_model()
    one, other = some_tokens(batch=1, padding=0), some_tokens(batch=1, padding=0)
    other[0, : M - 1] = 1 + (one[0, : M - 1] + 3) % (V - 1)
    one[0, M - 1] = other[0, M - 1] = PAD
    np.testing.assert_array_equal(model(one)[0, 0], model(other)[0, 0])


def test_an_unknown_tie_is_refused():
    with pytest.raises(ValueError, match="sideways"):
        make_model("sideways")


def test_importing_the_model_leaves_keras_3_in_place():
    code = "import hopline.model.network, keras; assert keras.__version__.startswith('3.'), keras.__version__"
    subprocess.run([sys.executable, "-c", code], check=True)
