"""Every option of a hop, alone and together, against the equations for one target at a time."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from hopline.config.model import ModelConfig
from hopline.model.general_hops import GeneralHops
from hopline.model.network import MemoryNetwork
from tests.hopline.model.forms import OPTIONS, E, K, M, T, V, make_model, parameters, some_tokens, train
from tests.reference.memn2n import next_word_logits, read_memory

GOLDEN = Path(__file__).resolve().parents[2] / "golden"

each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())


@each_option
def test_the_forward_pass_equals_the_equations(options):
    model = make_model(**options)
    tokens = some_tokens()
    weights = parameters(model)
    expected = [[next_word_logits(row[t : t + M], **weights) for t in range(T)] for row in tokens]
    np.testing.assert_allclose(model(tokens), expected, atol=2e-5, rtol=1e-5)


@each_option
def test_the_attention_of_every_hop_equals_the_equations(options):
    model = make_model(**options)
    tokens = some_tokens()
    weights = {name: value for name, value in parameters(model).items() if name not in ("W", "P_O", "b")}
    expected_BTKS = [[read_memory(row[t : t + M], **weights)[1] for t in range(T)] for row in tokens]
    probs_KBTS = np.array(model.attention(tokens))
    assert probs_KBTS.shape == (K, len(tokens), T, model.slots)
    np.testing.assert_allclose(probs_KBTS, np.moveaxis(expected_BTKS, 2, 0), atol=2e-6, rtol=1e-5)


@each_option
def test_the_place_of_a_target_in_its_window_does_not_change_its_logits(options):
    model = make_model(**options)
    tokens = some_tokens(padding=0.1)
    alone = [model(tokens[:, t : t + M])[:, 0] for t in range(T)]
    np.testing.assert_allclose(model(tokens), np.stack(alone, axis=1), atol=1e-5, rtol=1e-5)


@each_option
def test_what_stands_before_a_document_changes_nothing(options):
    model = make_model(**options)
    one, other = some_tokens(padding=0), some_tokens(padding=0)
    other[:, : M - 2] = 1 + other[:, : M - 2] % 7
    one[:, M - 2] = other[:, M - 2] = 0
    assert (one != other).any()
    np.testing.assert_array_equal(model(one), model(other))


@each_option
def test_gradients_are_the_slopes_of_the_equations(options):
    model = make_model(**options)
    tokens = some_tokens(batch=2)
    random = np.random.Generator(np.random.Philox(6))
    weight_BTV = random.normal(size=(*tokens.shape[:1], T, V))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tokens) * weight_BTV)
    variables = model.trainable_variables
    gradients = [np.array(tf.convert_to_tensor(gradient)) for gradient in tape.gradient(loss, variables)]

    def reference_loss(moved):
        weights = parameters(model, moved)
        logits = [[next_word_logits(row[t : t + M], **weights) for t in range(T)] for row in tokens]
        return (np.array(logits) * weight_BTV).sum()

    for variable, gradient in zip(variables, gradients, strict=True):
        step = random.normal(size=variable.shape) * 1e-6
        slope = reference_loss([(variable, step)]) - reference_loss([(variable, -step)])
        scale = float(np.linalg.norm(gradient)) * 1e-6
        assert 2 * (gradient * step).sum() == pytest.approx(slope, rel=1e-3, abs=1e-3 * scale), variable.path
        assert np.abs(gradient).max() > 0, f"{variable.path} has no influence"


@each_option
def test_a_network_survives_saving_loading_and_further_training(options, tmp_path):
    model = make_model(**options)
    train(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    for network in (model, loaded):
        train(network)
        own = {id(variable) for variable in network.trainable_variables}
        tables = [network.key_table_VF, network.value_table_VF, network.logit_table_VF]
        assert len({id(table) for table in tables}) == {"all": 1, "none": 3}.get(model.tie, 2)
        assert own >= {id(table) for table in tables}
        assert len(own) == len(network.trainable_variables)
    assert loaded.count_params() == model.count_params()
    np.testing.assert_allclose(loaded(some_tokens()), model(some_tokens()), rtol=1e-6, atol=1e-6)


@each_option
def test_in_mixed_precision_the_weights_stay_and_the_logits_are_near(options):
    exact, tokens = make_model(**options, init_stddev=0.2), some_tokens()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = make_model(**options, init_stddev=0.2)
        states, logits = mixed.output_states(tokens), mixed(tokens)
        train(mixed, steps=1)
    finally:
        keras.config.set_dtype_policy("float32")
    assert states.dtype == "bfloat16"
    assert logits.dtype == "float32"
    assert {variable.dtype for variable in mixed.variables} == {"float32"}
    assert all(np.isfinite(variable).all() for variable in mixed.variables), "after a step of training"
    spread = np.std(exact(tokens))
    np.testing.assert_allclose(logits, exact(tokens), atol=0.2 * spread)
    assert np.std(logits - exact(tokens)) < 0.03 * spread


@each_option
def test_dropout_is_asked_for_at_every_place_that_there_is(options):
    model, tokens = make_model(**options), some_tokens()
    asked = []

    def drop(place, units, *, tokens_BL=None, hop=0):
        asked.append((place, hop))
        assert (tokens_BL is not None) == (place == "words")
        assert units.shape[0] == len(tokens)
        return units

    np.testing.assert_allclose(model(tokens, drop=drop), model(tokens), atol=1e-6, rtol=1e-5)
    places = {"words", "keys", "state", "values"} - (
        {"values"} if model.key_slots is None and model.tie == "all" else set()
    )
    hops = {"read", "map"} if model.state_map == "mlp" else {"read"}
    assert set(asked) == {(place, 0) for place in places} | {(place, hop) for place in hops for hop in range(K)}


@each_option
def test_what_dropout_takes_away_is_gone(options):
    """With nothing read, added or kept at the end, nothing of that place is left in the logits."""
    model, tokens = make_model(**options), some_tokens(padding=0)

    def without(*places):
        return model(tokens, drop=lambda place, units, **_: units * (0.0 if place in places else 1.0))

    bias = 0.0 if model.logit_bias_V is None else model.logit_bias_V
    np.testing.assert_allclose(without("state") - bias, 0, atol=1e-7)
    assert np.ptp(without("words") - bias, axis=1).max() < 1e-5, "every target of a window has the same logits"
    assert np.abs(without("read") - model(tokens)).max() > 1e-2


def test_the_dropped_reading_of_the_paper_s_hops_is_followed_by_its_gradient():
    model, tokens = make_model(), some_tokens(padding=0)
    keys, values, visible = model._memory(tokens, lambda place, units, **_: units)
    general = GeneralHops(M, K)
    general.build(keys.shape)
    pairs = (general.key_time_ME, model.hop.key_time_ME), (general.value_time_ME, model.hop.value_time_ME)
    for mine, theirs in (*pairs, (general.map.map_EE, model.hop.state_map_EE)):
        mine.assign(theirs)
    random = np.random.Generator(np.random.Philox(2))
    masks = random.integers(0, 2, size=(K, len(tokens), 1, E)).astype("float32") * 2

    def drop(place, units, *, hop=0, **_):
        return units * masks[hop]

    results = []
    for layer in (model.hop, general):
        inputs = [tf.identity(keys), tf.identity(values)]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            state = layer(*inputs, visible, drop=drop)
            loss = tf.reduce_sum(state**2)
        results.append([state, *tape.gradient(loss, [*inputs, *layer.trainable_variables])])
    for mine, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_a_network_that_was_saved_before_there_were_options_is_loaded():
    loaded = keras.saving.load_model(GOLDEN / "network_before_options.keras")
    known = json.loads((GOLDEN / "network_before_options.json").read_text())
    np.testing.assert_allclose(loaded(np.array(known["tokens"])), known["logits"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("vocabulary", "width", "hops", "memory", "parameters"), [
    (10_001, 256, 4, 64, 3_261_457), (7_551, 192, 3, 48, 1_846_719),
])  # fmt: skip
def test_the_recommended_network_has_as_many_parameters_as_its_formula_says(
    vocabulary, width, hops, memory, parameters
):
    config = ModelConfig(width=width, hops=hops, memory=memory, **{**OPTIONS["all"], "heads": 4})
    model = MemoryNetwork(vocabulary_size=vocabulary, **config.network())
    model.build((None, memory))
    hidden, filters, slots = 2 * width, 2 * 3, 2 * (memory - 2)
    matrices = vocabulary * width + (3 + 3) * width**2 + 2 * width * hidden + (filters + slots) * width
    vectors = vocabulary + hidden + (1 + 1 + 2 * 3) * width  # b; c1; c2, q and the gains and shifts of three norms
    assert model.count_params() == matrices + vectors == parameters


def test_the_general_hops_without_options_are_those_of_the_paper():
    model, tokens = make_model(), some_tokens()
    keys, values, visible = model._memory(tokens, lambda place, units, **_: units)
    general = GeneralHops(M, K)
    general.build(keys.shape)
    for mine, theirs in zip(
        (general.key_time_ME, general.value_time_ME, general.map.map_EE),
        (model.hop.key_time_ME, model.hop.value_time_ME, model.hop.state_map_EE),
        strict=True,
    ):
        mine.assign(theirs)
    np.testing.assert_allclose(general(keys, values, visible), model.hop(keys, values, visible), atol=1e-6, rtol=1e-5)


def test_a_network_that_makes_no_sense_is_refused():
    for options in ({"tie": "sideways"}, {"query": "all"}, {"state_map": "lstm"}, {"projections": True}, {"heads": 5}):
        with pytest.raises(ValueError, match=next(iter(options))):
            make_model(**options)
