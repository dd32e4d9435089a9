"""One input that raises a `UserError`, and what its remedy leads to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Try = Callable[[Path], object]  # of a new, empty folder


@dataclass(frozen=True)
class Case:
    """Attributes:
    name: of the test.
    wrong: raises the error.
    right: the same after the remedy, in the folder that `wrong` has left; None where the remedy is no input, such as
        to wait, to install something, or to name another place.
    """

    name: str
    wrong: Try
    right: Try | None = None
