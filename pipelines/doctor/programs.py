"""Programs on this machine: whether they are there, and which version."""

import re
import subprocess
from collections.abc import Sequence

from pipelines.doctor.check import Answer, Check, missing, ok, unknown

Version = tuple[int, ...]
_SECONDS = 20.0


class ProgramError(Exception):
    """A program is not there, failed, or did not end; the message says which."""


def output(command: Sequence[str]) -> str:
    """What `command` prints.

    Raises:
        ProgramError: it is not there, it failed, or it did not end in time.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace")
    except FileNotFoundError as error:
        raise ProgramError(f"{command[0]} is not installed") from error
    except OSError as error:
        raise ProgramError(f"{command[0]} cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{command[0]} did not answer within {_SECONDS:.0f} s") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise ProgramError(f"{command[0]} failed: {said[-1]}")
    return done.stdout


def version_of(text: str) -> Version | None:
    """The first version in `text`, such as (1, 33, 0) of "v1.33.0"; None if there is none."""
    found = re.search(r"\d+(\.\d+)+", text)
    return tuple(map(int, found.group().split("."))) if found else None


def shown(version: Version) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))


def program(name: str, command: Sequence[str], least: Version, remedy: str) -> Check:
    """That the program `name`, whose version `command` prints, is there in version `least` or newer."""

    def look() -> Answer:
        try:
            text = output(command)
        except ProgramError as error:
            return missing(str(error), remedy)
        found = version_of(text)
        if found is None:
            return unknown(f"it does not say which version it is: {text.strip()[:80]}", remedy)
        if found < least:
            return missing(f"{shown(found)}, but {shown(least)} is needed", remedy)
        return ok(shown(found))

    return Check(name, look)
