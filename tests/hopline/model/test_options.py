"""Every option of a hop, alone and together, against the equations for one target at a time."""

import numpy as np
import pytest

from hopline.model.general_hops import GeneralHops
from tests.hopline.model.forms import OPTIONS, K, M, T, make_model, parameters, some_tokens
from tests.reference.memn2n import next_word_logits, read_memory

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
    np.testing.assert_allclose(model(tokens), np.stack(alone, axis=1), atol=1e-5)


@each_option
def test_what_stands_before_a_document_changes_nothing(options):
    model = make_model(**options)
    one, other = some_tokens(padding=0), some_tokens(padding=0)
    other[:, : M - 2] = 1 + other[:, : M - 2] % 7
    one[:, M - 2] = other[:, M - 2] = 0
    assert (one != other).any()
    np.testing.assert_array_equal(model(one), model(other))


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
    np.testing.assert_allclose(general(keys, values, visible), model.hop(keys, values, visible), atol=1e-6)


def test_a_network_that_makes_no_sense_is_refused():
    for options in ({"tie": "sideways"}, {"query": "all"}, {"state_map": "lstm"}, {"projections": True}, {"heads": 5}):
        with pytest.raises(ValueError, match=next(iter(options))):
            make_model(**options)
