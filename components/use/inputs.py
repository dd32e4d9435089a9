"""Files of text that a command names, "-" for standard input."""

import sys
from pathlib import Path
from typing import BinaryIO

from hopline.runtime.errors import UserError

STDIN = "-"


def check_input(file: str, remedy: str) -> None:
    """Refuses what cannot be read as a stream: a pipe or a device can, as `/dev/stdin` or `<(command)` name them.

    Raises:
        UserError: it is not there, or is a folder.
    """
    if file == STDIN or (Path(file).exists() and not Path(file).is_dir()):
        return
    raise UserError(f"{file} {'is a folder' if Path(file).exists() else 'does not exist'}", remedy=remedy)


def open_input(file: str) -> BinaryIO:
    """The file's bytes, from the beginning of a file and from where it stands of standard input."""
    return sys.stdin.buffer if file == STDIN else Path(file).open("rb")


def input_name(file: str) -> str:
    """What messages call it."""
    return "standard input" if file == STDIN else file
