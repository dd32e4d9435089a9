"""The stream's scores inside a SavedModel: those of the model, for every option of a hop."""

import numpy as np
import pytest
import tensorflow as tf

from components.train.report.export import _stream_nll
from hopline.model.scoring import score_stream
from hopline.model.streams import TokenStream
from hopline.schema import PAD
from tests.hopline.model.forms import OPTIONS, T, V, make_model, train

SOME = ("norm, factor", "four words ask", "four-word slots", "all")


@pytest.mark.parametrize("options", [OPTIONS[name] for name in SOME], ids=SOME)
def test_an_export_scores_a_stream_as_the_model_does(options, tmp_path):
    model = make_model(**options, init_stddev=0.2)
    train(model)
    random = np.random.Generator(np.random.Philox(3))
    documents = [[PAD, *random.integers(1, V, size=size)] for size in (1, 30, 2, 19)]
    stream = TokenStream(np.concatenate(documents).astype("int32"), "valid")
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    signature = [tf.TensorSpec([None], tf.int32)]
    module.score = tf.function(lambda ids: _stream_nll(model, ids, T), input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    exported = loaded.score(tf.constant(stream.ids)).numpy()
    expected = score_stream(model, stream, targets=64)
    np.testing.assert_allclose(exported[stream.ids != PAD], expected, rtol=1e-4, atol=1e-5)
    assert (exported[stream.ids == PAD] == 0).all()
