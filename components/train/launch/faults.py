"""What a worker says when it cannot go on for a reason outside of its own program."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from components.train.state import checkpoint
from hopline.runtime.errors import InternalError, LostPeersError

# What TensorFlow raises from an exchange when a peer is gone, depending on who notices first and where.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@contextlib.contextmanager
def explained(worker: str, training: Path, *, alone: bool) -> Iterator[None]:
    """Gives failures of the disk and of other workers their names.

    Args:
        worker: what to call this worker.
        training: the group's folder.
        alone: whether this worker has no peers to lose.

    Raises:
        SaveError: the disk is full; the message names the folder, the error and the step that is safe.
        UserError: the folder may not be written; the same.
        LostPeersError: an exchange with the other workers failed.
    """
    try:
        yield
    except OSError as error:
        raise checkpoint.unwritable(training, error) from error
    except InternalError as error:
        if isinstance(error.__cause__, OSError):  # a flush that failed
            raise checkpoint.unwritable(training, error.__cause__) from error
        raise
    except _LOST as error:
        if alone:
            raise
        raise LostPeersError(
            f"{worker} lost its peers: {type(error).__name__}: {_reason(str(error.message or error))}",
            remedy="run the same command again: it continues",
        ) from error


def _reason(message: str) -> str:
    """The line that says what happened: TensorFlow puts the place in the program, many lines, before it."""
    place = (" ", "\t", "Graph execution error", "Detected at")
    lines = [line for line in message.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(place)), lines[0] if lines else "")
