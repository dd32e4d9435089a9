"""How long to wait before something is tried again: the one schedule of pauses for whatever may be away for a while."""

import random
import time
from collections.abc import Iterator


def pauses(patience: float, *, first: float = 0.5, longest: float = 10.0) -> Iterator[float]:
    """Seconds to wait before each further attempt, until these, or the time that has passed, come to `patience`.

    They double from `first` up to `longest`, and each is shortened at random by up to a half, so that clients whose
    server was away do not all come back at the same moment.

    Args:
        patience: seconds; 0 for no further attempt.
        first: the first pause at its longest.
        longest: what no pause exceeds.
    """
    waited, began, pause = 0.0, time.monotonic(), first
    while max(waited, time.monotonic() - began) < patience:
        seconds = pause * random.uniform(0.5, 1.0)  # noqa: S311  (no secret)
        yield seconds
        waited += seconds
        pause = min(2 * pause, longest)
