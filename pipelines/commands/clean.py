"""`hopline clean`: room on the disk."""

import argparse

from hopline.runtime.errors import ExitCode
from pipelines.commands.parsing import OUTPUT, Commands, command

_TEXT = """\
Removes the cache of an output folder: results that can be made again, and checkpoints of runs that were stopped.
Keeps the registry and all runs.  Refuses while a run is using the folder.  For an output in an object store it cleans
the folder of work in progress on this machine.

examples:
  hopline clean --output hopline-output
  hopline clean --output gs://my-bucket/language-models

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "clean", _clean, "remove the cache of an output folder", _TEXT)
    parser.add_argument("--output", default=str(OUTPUT), metavar="PLACE", help="the --output of the runs (%(default)s)")


def _clean(options: argparse.Namespace) -> int:
    from pipelines.output import open_output
    from pipelines.run import clean

    freed = clean(open_output(options.output))
    print(f"removed {freed / 1e6:,.1f} MB; registry and runs are as they were")
    return ExitCode.DONE
