"""`hopline compare`: runs side by side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands.parsing import OUTPUT, Commands, add_format, add_server, client_of, command, print_json

if TYPE_CHECKING:
    from pipelines.run_records import RunRecord

_TEXT = """\
Puts runs side by side: where their configurations differ, what they reached, how fast they were, and
their curves.

examples:
  hopline compare 20261125-130417-977836 20261125-140102-113042
  hopline compare hopline-output/runs/*
  hopline compare 20261125-13 20261125-14 --html comparison.html
  hopline compare 1f0c2f3e-5a6b-4c7d-8e9f-0a1b2c3d4e5f 20261125-13 --host http://localhost:8080

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "compare", _compare, "put runs side by side", _TEXT)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run's id, its beginning, or its folder; or its id on a Kubeflow server",
    )
    parser.add_argument(
        "--output", default=str(OUTPUT), metavar="FOLDER", help="the --output of the runs (%(default)s)"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page with the curves in one picture")
    add_format(parser)
    add_server(parser)


def _compare(options: argparse.Namespace) -> int:
    from hopline.store.folders import write_text
    from pipelines.compare import as_json, as_page, as_text, compare

    runs = _read(options)
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


def _read(options: argparse.Namespace) -> "list[RunRecord]":
    """The runs that are named, each once.

    Raises:
        UserError: there is no such run, or one alone.
    """
    from pipelines.output import RemoteOutput, open_output
    from pipelines.run_records import find_run, is_kubeflow_id, read_kubeflow_run, read_run

    output = client = None
    runs: dict[str, RunRecord] = {}
    for name in options.runs:
        if is_kubeflow_id(name):
            client = client or client_of(options)
            runs[name] = read_kubeflow_run(client, name)
            continue
        output = output or open_output(options.output)
        if isinstance(output, RemoteOutput):
            raise UserError(
                f"{options.output} is in an object store, but runs are compared on this machine",
                remedy="copy their folders here, and name these",
            )
        folder = find_run(output, name)
        runs[str(folder.resolve())] = read_run(folder)
    if len(runs) < 2:
        raise UserError("there is one run to compare, but there must be two or more", remedy="name another run")
    return list(runs.values())
