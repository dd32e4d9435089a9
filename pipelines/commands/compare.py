"""`hopline compare`: runs side by side."""

import argparse
from pathlib import Path

from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands.parsing import OUTPUT, Commands, add_format, command, print_json

_TEXT = """\
Puts runs of this machine side by side: where their configurations differ, what they reached, how fast they were, and
their curves.

examples:
  hopline compare 20261125-130417-977836 20261125-140102-113042
  hopline compare hopline-output/runs/*
  hopline compare 20261125-13 20261125-14 --html comparison.html

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "compare", _compare, "put runs side by side", _TEXT)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's id, its beginning, or its folder")
    parser.add_argument(
        "--output", default=str(OUTPUT), metavar="FOLDER", help="the --output of the runs (%(default)s)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the curves in one picture")
    add_format(parser)


def _compare(options: argparse.Namespace) -> int:
    from hopline.store.folders import write_text
    from pipelines.compare import as_json, as_page, as_text, compare, find_run, read_run
    from pipelines.output import RemoteOutput, open_output

    output = open_output(options.output)
    if isinstance(output, RemoteOutput):
        raise UserError(
            f"{options.output} is in an object store, but runs are compared on this machine",
            remedy="copy their folders here, and name these",
        )
    folders = [find_run(output, name) for name in options.runs]
    if len({folder.resolve() for folder in folders}) < 2:
        raise UserError("there is one run to compare, but there must be two or more", remedy="name another run")
    runs = [read_run(folder) for folder in folders]
    parts = compare(runs)
    if options.html:
        try:
            write_text(options.html, as_page(runs, parts))
        except OSError as error:
            raise UserError(
                f"{options.html} cannot be written: {error.strerror}",
                remedy="give --html a file in a folder that exists",
            ) from error
    if options.format == "json":
        print_json(as_json(runs, parts))
    else:
        print(as_text(runs, parts))
        if options.html:
            print(f"\npage: {options.html}")
    return ExitCode.DONE
