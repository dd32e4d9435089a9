"""The exported scores of a text are the network's own, for options of a hop that lengthen a window or its question."""

import numpy as np
import pytest

from hopline.model.scoring import score_stream
from hopline.model.streams import TokenStream
from hopline.schema import PAD
from hopline.use.exported import Exported
from tests.exported import make_output

TEXT = "w00 w07 w03 w00\nw01 w02 w09 w11 w12 w13 w14 w15 w20 w21\nw22 w23 w00\n" * 3
OPTIONS = {
    "heads and norm": {"heads": 4, "norm": True, "tie": "output"},
    "three words ask": {"norm": True, "query": "words", "query_words": 3, "tie": "all", "projections": True},
    "three-word slots": {"norm": True, "query": "learned", "slot_words": 3, "state_map": "gate"},
    "sinusoidal time": {"time": "sinusoidal", "tie": "output"},
    "no time": {"time": "none", "heads": 4},
    "as configs/tiny.toml": {
        "heads": 4, "norm": True, "state_map": "mlp", "query": "words", "query_words": 3, "slot_words": 3,
        "tie": "all", "projections": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_an_export_scores_a_text_as_the_network_does(options, tmp_path):
    network = make_output(tmp_path, **options)
    scored = Exported(tmp_path / "model").call("score", text=[TEXT])
    stream = TokenStream(np.concatenate([[PAD], scored["ids"]]).astype(np.int32), "test")
    np.testing.assert_allclose(scored["nll"], score_stream(network, stream, targets=5), rtol=1e-4, atol=1e-5)
