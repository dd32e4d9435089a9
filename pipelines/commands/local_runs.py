"""`hopline runs ... --output`: what became of the runs on this machine."""

import argparse
import itertools
import time
from typing import TYPE_CHECKING, Any

from hopline.config.section import require
from hopline.runtime.errors import ExitCode
from pipelines.commands.parsing import print_json
from pipelines.tables import aligned, shown_time, text_table

if TYPE_CHECKING:
    from pipelines.local_runs import LocalRun

_LOOK_SECONDS = 0.5


def show_list(options: argparse.Namespace) -> int:
    """Prints the newest runs."""
    from pipelines.local_runs import local_runs
    from pipelines.output import open_output

    found = list(itertools.islice(local_runs(open_output(options.output)), options.count))
    if options.format == "json":
        print_json([_described(run) for run in found])
        return ExitCode.DONE
    rows = [
        (run.id, shown_time(run.created), run.state, f"{run.perplexity:.1f}" if run.perplexity else "", run.note)
        for run in found
    ]
    if options.format == "wide":
        heads = ("id", "created", "state", "perplexity", "what came of it", "folder")
        print(text_table(heads, [(*row, str(run.folder)) for row, run in zip(rows, found, strict=True)]))
    elif rows:
        print(aligned(rows))
    return ExitCode.DONE


def _described(run: "LocalRun") -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "created": run.created.isoformat() if run.created else None,
        "perplexity": run.perplexity,
        "note": run.note,
        "folder": str(run.folder),
    }


def show_log(options: argparse.Namespace) -> int:
    """Prints the log of a run of this machine: one file for all its steps."""
    from pipelines.local_runs import find
    from pipelines.output import open_output

    require(not options.step, "--step is given, but a run of this machine has one log", "leave out --step")
    output, place = open_output(options.output), 0
    while True:
        run = find(output, options.run)  # before the file is read: what is said at the end is shown too
        with run.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(place)
            print(log.read(), end="", flush=True)
            place = log.tell()
        if not options.follow or run.state != "RUNNING":
            return ExitCode.DONE
        time.sleep(_LOOK_SECONDS)


def retry(options: argparse.Namespace) -> int:
    """Runs the configuration of the run once more."""
    from pipelines.cli import main
    from pipelines.local_runs import find
    from pipelines.output import open_output

    config = find(open_output(options.output), options.run).config
    return main(["run", "--config", str(config), "--output", options.output])
