"""An output layer that shares the table of a model's own Embedding, in whatever Keras does with the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hopline.model.tied_softmax import TiedSoftmax

V, E, H = 11, 6, 8
IDS = np.array([[1, 4, 2, 0], [7, 7, 10, 3]], np.int32)


def make_model(width=H, dtype=None, **options):
    ids = keras.Input((None,), dtype="int32")
    start = keras.initializers.RandomNormal(stddev=1.0, seed=1)
    words = keras.layers.Embedding(V, E, start, mask_zero=True, name="words", dtype=dtype)
    units = keras.layers.Dense(width, activation="tanh", dtype=dtype)(words(ids))
    return keras.Model(ids, TiedSoftmax(words, name="output", dtype=dtype, **options)(units))


def table_of(model):
    return model.get_layer("words").embeddings


def train(model, steps=2):
    optimizer = keras.optimizers.SGD(0.5)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(IDS, model(IDS)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)


def assert_tied(model):
    """What the table is changed to, the output layer computes with."""
    train(model)
    assert np.ptp(model(IDS)) > 0.01
    table_of(model).assign(table_of(model) * 0)
    bias = model.get_layer("output").bias_V
    alone = tf.nn.softmax(tf.zeros(V) if bias is None else bias)
    np.testing.assert_allclose(model(IDS), np.broadcast_to(alone, (*IDS.shape, V)), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"use_bias": True}, {"width": E}, {"width": E, "use_map": True}])
def test_it_is_the_softmax_of_a_product_with_the_table_and_owns_no_table(options):
    model = make_model(**options)
    output, units = model.get_layer("output"), keras.Model(model.inputs, model.get_layer("output").input)(IDS)
    with_map = options.get("use_map", options.get("width", H) != E)
    assert [weight.name for weight in output.weights] == ["map"] * with_map + ["bias"] * ("use_bias" in options)
    if "use_bias" in options:
        output.bias_V.assign(np.arange(V) / 5)
    mapped = units @ output.map_HE if with_map else units
    logits = np.array(mapped @ tf.transpose(table_of(model))) + (np.arange(V) / 5 if "use_bias" in options else 0)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(model(IDS), expected, rtol=1e-5)
    own = V * E + (E + 1) * options.get("width", H)
    assert model.count_params() == own + with_map * options.get("width", H) * E + V * ("use_bias" in options)


def test_the_table_s_gradient_is_the_sum_of_those_of_its_two_uses():
    model = make_model(width=E)
    table, dense = table_of(model), model.layers[2]
    first, second = tf.Variable(table), tf.Variable(table)
    with tf.GradientTape(persistent=True) as tape:
        tied = tf.reduce_sum(tf.math.log(model(IDS))[..., 3])
        logits = dense(tf.gather(first, IDS)) @ tf.transpose(second)
        untied = tf.reduce_sum(tf.math.log(tf.nn.softmax(logits))[..., 3])
    assert float(tied) == pytest.approx(float(untied), rel=1e-5)
    parts = [tf.convert_to_tensor(part) for part in tape.gradient(untied, [first, second])]
    np.testing.assert_allclose(
        tf.convert_to_tensor(tape.gradient(tied, table)), parts[0] + parts[1], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("options", [{"use_bias": True}, {"width": E, "activation": None}])
def test_a_model_that_was_saved_and_loaded_is_the_same_and_tied(options, tmp_path):
    model = make_model(**options)
    train(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(IDS), model(IDS), rtol=1e-6)
    assert loaded.count_params() == model.count_params()
    if options.get("activation", "softmax"):
        assert_tied(loaded)


def test_a_clone_is_tied_to_its_own_table():
    model = make_model()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_allclose(clone(IDS), model(IDS), rtol=1e-6)
    kept = np.array(model(IDS))
    assert_tied(clone)
    np.testing.assert_array_equal(model(IDS), kept)


def test_the_table_may_be_inside_of_a_model_that_comes_before(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    words = keras.layers.Embedding(V, E, name="words")
    encoder = keras.Model(ids, keras.layers.Dense(H)(words(ids)), name="encoder")
    model = keras.Model(ids, TiedSoftmax(words)(encoder(ids)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(IDS), model(IDS), rtol=1e-6)
    loaded.get_layer("encoder").get_layer("words").embeddings.assign(np.zeros((V, E)))
    np.testing.assert_allclose(loaded(IDS), 1 / V, atol=1e-6)


def test_an_export_serves_the_same_probabilities(tmp_path):
    model = make_model(use_bias=True)
    model.export(tmp_path / "export", verbose=False)
    artifact = tf.saved_model.load(tmp_path / "export")
    served = artifact.serve(tf.constant(IDS))
    np.testing.assert_allclose(served, model(IDS), rtol=1e-5)


def test_in_mixed_precision_probabilities_are_exact_to_float32_and_the_table_stays_so(tmp_path):
    model = make_model(dtype="mixed_bfloat16")
    probabilities = model(IDS)
    assert probabilities.dtype == "float32"
    np.testing.assert_allclose(np.sum(probabilities, axis=-1), 1, rtol=1e-5)
    assert {variable.dtype for variable in model.variables} == {"float32"}
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("output").compute_dtype == "bfloat16"
    np.testing.assert_allclose(loaded(IDS), probabilities, rtol=1e-6)


def test_freezing_the_embedding_freezes_the_table_and_freezing_the_output_layer_does_not():
    model = make_model(use_bias=True)
    model.get_layer("output").trainable = False
    assert [variable.path for variable in model.trainable_variables][:1] == [table_of(model).path]
    assert len(model.trainable_variables) == 3
    model.get_layer("output").trainable = True
    model.get_layer("words").trainable = False
    before = np.array(table_of(model))
    train(model)
    np.testing.assert_array_equal(table_of(model), before)
    assert len(model.trainable_variables) == 4


def test_a_mask_goes_through():
    model = make_model()
    np.testing.assert_array_equal(model(IDS)._keras_mask, IDS != 0)


def test_a_model_of_one_s_own_passes_the_layer():
    words = keras.layers.Embedding(V, E)
    words.build()
    layer = TiedSoftmax(words)
    units = np.ones((2, H), np.float32)
    assert layer(units).shape == (2, V)
    with pytest.raises(ValueError, match="pass the layer itself"):
        TiedSoftmax("words")(units)


def test_a_tie_that_could_not_be_loaded_is_refused_when_the_model_is_made():
    ids, units = keras.Input((None,), dtype="int32"), keras.Input((None, H))
    words = keras.layers.Embedding(V, E, name="words")
    words(ids)
    with pytest.raises(ValueError, match='tied to "words", but no layer of that name comes before it'):
        TiedSoftmax(words)(units)
    with pytest.raises(ValueError, match="no table"):
        TiedSoftmax("dense")(keras.layers.Dense(H, name="dense")(words(ids)))
    with pytest.raises(ValueError, match="8 units, but the table of words is 6 wide"):
        TiedSoftmax(words, use_map=False)(keras.layers.Dense(H)(words(ids)))
