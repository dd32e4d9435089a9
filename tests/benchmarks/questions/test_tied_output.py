"""Question 2: what is said of the two layers stays true."""

import pytest

from benchmarks.questions.tied_output import SETTINGS, TransposedLayer, make_model, outcome_of_loading
from hopline.model.tied_softmax import TiedSoftmax


def test_the_transposed_layer_cannot_be_loaded_and_the_tied_one_can():
    assert outcome_of_loading(TransposedLayer).startswith("cannot be loaded")
    assert outcome_of_loading(TiedSoftmax) == "loads: equal outputs, 1 table"


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_two_models_have_as_many_parameters(setting):
    tied, untied = (make_model(setting, tied=tied).count_params() for tied in (True, False))
    assert abs(tied - untied) < 0.01 * untied
