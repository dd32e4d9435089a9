"""How near numbers are that two programs compute of one model.

Both are float32, but batch and window lengths differ, so sums round differently.  Measured on Penn Treebank with a
vocabulary of 10,000: up to 1.3e-5 nats at a token, and 3e-8 of the mean.  A wrong word, a memory cut short or a lost
weight moves single tokens by far more than 1e-3.
"""

import numpy as np
import numpy.typing as npt

from hopline.runtime.errors import InternalError

TOKEN_TOLERANCE = 1e-4  # nats at a token, and of its score where that is above 1
MEAN_TOLERANCE = 1e-5  # of the mean

Floats = npt.NDArray[np.float32]


def difference_of_mean(own: Floats, other: Floats) -> float:
    """The relative difference of two means."""
    sums = own.sum(dtype=np.float64), other.sum(dtype=np.float64)
    return float(abs(sums[0] - sums[1]) / max(sums[0], 1e-9))


def require_close(own: Floats, other: Floats, relative: float, who: str) -> float:
    """Demands that scores agree.

    Args:
        own: shape (N,), in nats, finite.
        other: the other program's.
        relative: `difference_of_mean`.
        who: the two programs, for the message.

    Returns:
        The largest difference of a token, in nats.

    Raises:
        InternalError: one differs by more than `TOKEN_TOLERANCE`, or the mean of several by more than `MEAN_TOLERANCE`.
    """
    differences = np.abs(own.astype(np.float64) - other)
    largest = float(np.max(differences, initial=0.0))
    worst = float(np.max(differences / np.maximum(1.0, np.abs(own)), initial=0.0))
    if worst > TOKEN_TOLERANCE or (len(own) > 1 and relative > MEAN_TOLERANCE):
        raise InternalError(
            f"{who} disagree: by up to {largest:.2g} nats at a token ({TOKEN_TOLERANCE:g} is allowed, and of a score "
            f"above 1 its {TOKEN_TOLERANCE:g}) and by {relative:.2g} of the mean ({MEAN_TOLERANCE:g} is allowed)",
            remedy="do not serve this export; train the model again, and report it if this persists",
        )
    return largest
