"""The challenger by its own weights, and the demand that its export gives the same numbers."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

import hopline.model.network  # noqa: F401  registers MemoryNetwork, so that load_model finds it
from components.evaluate.scores import Scores
from components.evaluate.tolerance import difference_of_mean, require_close
from hopline.model.scoring import score_stream
from hopline.model.streams import TokenStream
from hopline.runtime.errors import InternalError
from hopline.schema import MODEL_FILE, PAD

_TARGETS = 128  # consecutive targets computed together: a matter of speed


def load_challenger(model: Path) -> keras.Model:
    """The model by its `.keras` file."""
    return keras.saving.load_model(model / MODEL_FILE, compile=False)


def score_challenger(
    network: keras.Model, stream: TokenStream, report: Callable[[int], None]
) -> npt.NDArray[np.float32]:
    """Scores every token of the stream: shape (stream.targets,), in nats."""
    return score_stream(network, stream, _TARGETS, report)


def require_same(nll: npt.NDArray[np.float32], stream: TokenStream, exported: Scores) -> dict[str, float]:
    """Demands that the export, fed with raw text, gives the evaluator's own number.

    Args:
        nll: shape (N,), the evaluator's, in nats.
        stream: what was scored.
        exported: the scores of the export.

    Returns:
        What is recorded of the check: the largest difference of a token and the relative one of the mean.

    Raises:
        InternalError: the tokens differ, or their scores do by more than `components.evaluate.tolerance` allows.
    """
    ids = stream.ids[stream.ids != PAD]
    remedy = "do not serve this export; train the model again, and report it if this persists"
    if not np.array_equal(ids, exported.ids):
        raise InternalError(
            f"the export reads the raw text of {stream.name} as {len(exported.ids):,} tokens that are not the "
            f"{len(ids):,} of its shards",
            remedy=remedy,
        )
    finite = np.isfinite(nll)
    if not np.array_equal(finite, np.isfinite(exported.nll)):
        raise InternalError("model.keras and its export are not finite at different tokens", remedy=remedy)
    own, other = nll[finite], exported.nll[finite]
    relative = difference_of_mean(own, other)
    largest = require_close(own, other, relative, "model.keras and its export")
    return {"largest_difference": largest, "relative_difference_of_mean": relative}
