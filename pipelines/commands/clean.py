"""`hopline clean`: room on the disk."""

import argparse
from pathlib import Path

from hopline.errors import ExitCode
from pipelines.commands.parsing import OUTPUT, Commands, command

_TEXT = """\
Removes the cache of an output folder: results that can be made again, and checkpoints of runs that were stopped.
Keeps the registry and all runs.  Refuses while a run is using the folder.

example:
  hopline clean --output hopline-output

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "clean", _clean, "remove the cache of an output folder", _TEXT)
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="the folder to clean (%(default)s)")


def _clean(options: argparse.Namespace) -> int:
    from pipelines.run import clean

    freed = clean(options.output)
    print(f"removed {freed / 1e6:,.1f} MB; registry and runs are as they were")
    return ExitCode.DONE
