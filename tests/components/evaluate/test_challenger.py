import dataclasses

import numpy as np
import pytest

from components.evaluate.challenger import require_same
from components.evaluate.scores import Scores
from hopline.model.streams import TokenStream
from hopline.runtime.errors import InternalError

STREAM = TokenStream(np.array([0, 5, 6, 0, 7], np.int32), name="valid")
NLL = np.array([1.0, 2.0, 3.0], np.float32)
EXPORTED = Scores(
    nll=NLL + np.float32(1e-5),
    ids=np.array([5, 6, 7]),
    word_index=np.zeros(3, np.int32),
    words=("a",),
    lengths=np.array([2, 1]),
)


def test_an_export_with_the_same_numbers_passes():
    check = require_same(NLL, STREAM, EXPORTED)
    assert check["largest_difference"] == pytest.approx(1e-5, rel=5e-2)
    assert check["relative_difference_of_mean"] == pytest.approx(5e-6, rel=5e-2)


def test_one_token_that_differs_is_refused():
    exported = dataclasses.replace(EXPORTED, nll=NLL + np.array([0, 0, 5e-4], np.float32))
    with pytest.raises(InternalError, match=r"up to 0\.0005 nats"):
        require_same(NLL, STREAM, exported)


def test_a_mean_that_differs_is_refused():
    exported = dataclasses.replace(EXPORTED, nll=NLL + np.float32(5e-5))
    with pytest.raises(InternalError, match="of the mean"):
        require_same(NLL, STREAM, exported)


@pytest.mark.parametrize("ids", [[5, 6, 8], [5, 6], [5, 6, 7, 7], []])
def test_other_tokens_are_refused(ids):
    exported = dataclasses.replace(EXPORTED, ids=np.array(ids))
    with pytest.raises(InternalError, match="raw text of valid"):
        require_same(NLL, STREAM, exported)


def test_scores_may_be_infinite_at_the_same_tokens():
    infinite = np.array([1.0, np.inf, np.nan], np.float32)
    require_same(infinite, STREAM, dataclasses.replace(EXPORTED, nll=infinite))


def test_scores_that_are_infinite_at_different_tokens_are_refused():
    exported = dataclasses.replace(EXPORTED, nll=np.array([1.0, np.inf, 3.0], np.float32))
    with pytest.raises(InternalError, match="not finite"):
        require_same(NLL, STREAM, exported)
