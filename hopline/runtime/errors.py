"""What can go wrong, and the exit code that says so.

Every error that a person may cause names the value, the rule it broke and the remedy.  Steps leave
with the exit code of their error; `hopline.runtime.program` writes the same three things to `failure.json`,
because Kubeflow keeps neither the code nor the message.
"""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """Exit codes of every hopline program."""

    DONE = 0
    INTERNAL = 1
    USER = 2
    DIVERGED = 3
    STALE = 4
    INTERRUPTED = 130
    PREEMPTED = 143


class HoplineError(Exception):
    """An error with a message (value and rule), a remedy and an exit code."""

    code = ExitCode.INTERNAL

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UserError(HoplineError):
    """The configuration or the data are wrong: trying again without a change cannot help."""

    code = ExitCode.USER


class MissingLibraryError(UserError):
    """A library that is missing, or another version of it: as every try in this environment would find."""

    @classmethod
    def of(cls, program: str, error: ImportError) -> Self:
        """The error for what `program` could not import."""
        return cls(
            f"{program} cannot import what it needs: {error}",
            remedy="install hopline's own versions of its libraries: pip install -c constraints.txt 'hopline[EXTRA]', "
            "with the extra of the step or command (preprocess, train, control, command, serve); then see "
            "`hopline doctor`",
        )


class DivergedError(HoplineError):
    """Training produced a loss or a gradient that is not finite."""

    code = ExitCode.DIVERGED


class StaleBlessingError(HoplineError):
    """The decision does not bless this model against the champion that stands now."""

    code = ExitCode.STALE


class PreemptedError(HoplineError):
    """Told to stop (SIGTERM): progress is saved, and the same command continues."""

    code = ExitCode.PREEMPTED


class InternalError(HoplineError):
    """A part of the run failed for a reason that is not the user's: trying again may help."""


class LostPeersError(InternalError):
    """A worker cannot go on because another one is gone; why that one went is another error."""


class SaveError(InternalError):
    """Progress cannot be written: trying again cannot help before there is room for it."""
