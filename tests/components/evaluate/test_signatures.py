"""The functions of an export against each other."""

import numpy as np
import pytest

from components.evaluate.signatures import require_agreement
from hopline.runtime.errors import InternalError
from hopline.use.exported import Exported

TEXT = "w00 w07 w03 nobody\nw01 w02\n" + "w04 w05 w06\n" * 20
# Of each function the output that its answer is known by.
CHANGED = {
    "score_piece": "nll",
    "alternatives": "nll",
    "states": "nll",
    "attention": "nll",
    "next_words": "probabilities",
    "generate": "log_probabilities",
}


@pytest.fixture(scope="module")
def exported(used):
    return Exported(used[0] / "model")


def test_all_functions_of_an_export_agree(exported):
    require_agreement(exported.call, TEXT)
    require_agreement(exported.call, "w01")  # one line without an end
    require_agreement(exported.call, "")


@pytest.mark.parametrize("name", CHANGED)
def test_one_that_differs_is_named(exported, name):
    def call(signature, /, **inputs):
        found = dict(exported.call(signature, **inputs))
        if signature == name:
            found[CHANGED[name]] = found[CHANGED[name]] * np.float32(1.001)
        return found

    with pytest.raises(InternalError, match=f'"{name}"'):
        require_agreement(call, TEXT)


def test_one_that_reads_other_words_is_named(exported):
    def call(signature, /, **inputs):
        found = dict(exported.call(signature, **inputs))
        return {**found, "nll": found["nll"][:-1]} if signature == "states" else found

    with pytest.raises(InternalError, match='"states" reads'):
        require_agreement(call, TEXT)
