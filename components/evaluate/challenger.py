"""The challenger by its own weights, and the demand that its export gives the same numbers."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

import hopline.model.network  # noqa: F401  registers MemoryNetwork, so that load_model finds it
from components.evaluate.scores import Scores
from hopline.model.scoring import score_stream
from hopline.model.streams import TokenStream
from hopline.runtime.errors import InternalError
from hopline.schema import MODEL_FILE, PAD

_TARGETS = 128  # consecutive targets computed together: a matter of speed

# Both are float32, but batch and window lengths differ, so sums round differently: about 1e-6 relative in a logit
# of size 10 to 100.  A wrong word, a memory cut short or a lost weight moves single tokens by far more than 1e-3.
TOKEN_TOLERANCE = 1e-3
MEAN_TOLERANCE = 1e-4


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
        InternalError: the tokens differ, one's score differs by more than `TOKEN_TOLERANCE`, or the mean by more
            than `MEAN_TOLERANCE`.
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
    own, other = nll[finite].astype(np.float64), exported.nll[finite].astype(np.float64)
    largest = float(np.max(np.abs(own - other), initial=0.0))
    relative = abs(float(own.sum() - other.sum())) / max(float(own.sum()), 1e-9)
    if largest > TOKEN_TOLERANCE or relative > MEAN_TOLERANCE:
        raise InternalError(
            f"model.keras and its export disagree: by up to {largest:.2g} nats at a token ({TOKEN_TOLERANCE:g} is "
            f"allowed) and by {relative:.2g} of the mean ({MEAN_TOLERANCE:g} is allowed)",
            remedy=remedy,
        )
    return {"largest_difference": largest, "relative_difference_of_mean": relative}
