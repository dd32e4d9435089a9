"""`hopline runs`: what became of the runs on a cluster, or on this machine."""

import argparse
import itertools
import sys
from typing import TYPE_CHECKING, Any

from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands import local_runs
from pipelines.commands.parsing import Commands, add_format, add_server, client_of, command, group, positive, print_json
from pipelines.tables import aligned, shown_time, text_table

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.kubeflow.client import Client
    from pipelines.kubeflow.follow import Outcome
    from pipelines.kubeflow.resources import Run

_TEXT = """\
Shows the runs on a Kubeflow Pipelines server, and ends them; with --output those of `hopline run` on this machine.

examples:
  hopline runs list
  hopline runs list --output hopline-output
  hopline runs show 1f0c2f3e-... --wait
  hopline runs logs 1f0c2f3e-... --step train --follow
  hopline runs retry 1f0c2f3e-...
  hopline runs terminate 1f0c2f3e-...

"""
_RETRY = """\
Has a run that failed do again what failed of it, and what was to follow; steps that are done stay done, and training
goes on from its newest checkpoint.  With --output a run of this machine is given again, as a new run.

"""


def add(commands: Commands) -> None:
    """Declares the commands."""
    actions = group(commands, "runs", "list, show and end runs on a Kubeflow cluster", _TEXT)

    listing = command(actions, "list", _list, "the newest runs", "Lists runs, newest first.\n")
    listing.add_argument("--experiment", default="", metavar="NAME", help="of this experiment alone")
    listing.add_argument("--count", type=positive, default=20, metavar="N", help="at most so many (%(default)s)")

    add_format(listing, wide=True)

    showing = command(actions, "show", _show, "the steps of a run", "Shows a run, and what came of it.\n")
    showing.add_argument("run", help="its id")
    showing.add_argument("--wait", action="store_true", help="follow it to its end, and end as it does")
    showing.add_argument(
        "--timeout", type=float, default=0.0, metavar="SECONDS", help="with --wait: stop following then"
    )

    add_format(showing)

    logs = command(actions, "logs", _logs, "the log of a run's steps", "Prints the logs of a run's steps.\n")
    logs.add_argument("run", help="its id")
    logs.add_argument("--step", help="of this step alone")
    logs.add_argument("--follow", action="store_true", help="go on printing as they grow, until the run has ended")

    again = command(actions, "retry", _retry, "go on with a run that failed", _RETRY)
    again.add_argument("run", help="its id")

    ending = command(actions, "terminate", _terminate, "end a run", "Ends a run.  One that has ended stays as it is.\n")
    ending.add_argument("run", help="its id")
    for action in (listing, logs, again):
        action.add_argument("--output", metavar="PLACE", help="runs of this machine: the --output of `hopline run`")
    for action in (listing, showing, logs, again, ending):
        add_server(action)


def wait(client: "Client", identity: str, timeout: float, console: "Console") -> "Outcome":
    """Follows the run; Ctrl-C says how to go on, and leaves the run as it is."""
    from pipelines.display import display
    from pipelines.kubeflow.follow import follow

    try:
        with display(console) as screen:
            return follow(client, identity, screen, timeout=timeout)
    except KeyboardInterrupt:
        again = f"follow it with `hopline runs show {identity} --wait`"
        console.print(f"the run goes on: {again}, end it with `hopline runs terminate {identity}`", soft_wrap=True)
        raise


def end(came: "Outcome", client: "Client", console: "Console") -> int:
    """Prints what came of a run that has ended, and returns its exit code."""
    from rich.console import Console as ErrorConsole
    from rich.text import Text

    from pipelines.closing import decision_rows, print_rows, skipped_row

    page = ("page", client.page(came.run.id))
    if came.failure is None:
        rows = decision_rows(came.records["evaluation"]) if "evaluation" in came.records else []
        if came.records.get("resolution", {}).get("action") == "skip":
            rows.append(skipped_row(came.records["resolution"]))
        if "promotion" in came.records:
            rows.append(("registry", f"version {came.records['promotion']['version']} is the champion"))
        if not came.records:
            rows = [("decision", "not to be had: the steps' logs are gone, or not archived (see --kube-namespace)")]
        print_rows([*rows, page], console)
        return ExitCode.DONE
    errors = ErrorConsole(stderr=True, highlight=False)
    if came.tail and came.failure.code == ExitCode.INTERNAL:
        errors.print(Text.from_ansi("\n".join(["the log ends:", *came.tail]), style="dim"), soft_wrap=True)
    print_rows([("error", came.failure.message), ("remedy", came.failure.remedy), page], errors)
    return came.failure.code


def _list(options: argparse.Namespace) -> int:
    if options.output:
        return local_runs.show_list(options)
    client = client_of(options)
    experiment = ""
    if options.experiment:
        found = client.find_experiment(options.experiment)
        if found is None:
            raise UserError(
                f"there is no experiment {options.experiment}", remedy="correct --experiment, or leave it out"
            )
        experiment = found
    newest = list(itertools.islice(client.runs(experiment), options.count))
    if options.format == "json":
        print_json([described(run) for run in newest])
        return ExitCode.DONE
    rows = [(run.id, shown_time(run.created), run.state, run.name) for run in newest]
    if options.format == "wide":
        heads = ("id", "created", "state", "name", "took", "experiment", "version", "schedule")
        more = [(_took(run), run.experiment, run.version, run.recurring_run) for run in newest]
        print(text_table(heads, [(*row, *columns) for row, columns in zip(rows, more, strict=True)]))
    elif rows:
        print(aligned(rows))
    return ExitCode.DONE


def _took(run: "Run") -> str:
    from hopline.runtime.progress import format_seconds

    return format_seconds((run.finished - run.created).total_seconds()) if run.finished and run.created else ""


def _show(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from pipelines.display import steps_table
    from pipelines.kubeflow.follow import outcome
    from pipelines.kubeflow.nodes import views

    client, console = client_of(options), Console(highlight=False)
    if options.wait:
        # A document goes where no progress is shown.
        shown = Console(highlight=False, stderr=options.format == "json")
        came = wait(client, options.run, options.timeout, shown)
        if options.format == "text":
            return end(came, client, console)
        print_json({**described(came.run), **_course(client, came.run)})
        return came.failure.code if came.failure else ExitCode.DONE
    run = client.run(options.run)
    if options.format == "json":
        print_json({**described(run), **_course(client, run)})
        return ExitCode.DONE
    console.print(Text(f"{run.name}: {run.state}"), soft_wrap=True)
    console.print(steps_table(views(run)))
    if not run.ended:
        console.print(Text(f"page:  {client.page(run.id)}"), soft_wrap=True)
        return ExitCode.DONE
    end(outcome(client, run), client, console)
    return ExitCode.DONE


def described(run: "Run") -> dict[str, Any]:
    """A run as JSON."""
    times = {"created": run.created, "finished": run.finished}
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        **{name: time.isoformat() if time else None for name, time in times.items()},
        "schedule": run.recurring_run or None,
    }


def _course(client: "Client", run: "Run") -> dict[str, Any]:
    """The steps of a run and, if it has ended, what came of it."""
    from pipelines.kubeflow.follow import outcome
    from pipelines.kubeflow.nodes import views

    steps = [{"step": view.step, "state": view.state.value, "seconds": round(view.seconds, 1)} for view in views(run)]
    course: dict[str, Any] = {"page": client.page(run.id), "steps": steps, "records": {}, "failure": None}
    if run.ended:
        came = outcome(client, run)
        course["records"] = came.records
        if failure := came.failure:
            course["failure"] = {"code": int(failure.code), "message": failure.message, "remedy": failure.remedy}
    return course


def _logs(options: argparse.Namespace) -> int:
    from pipelines.kubeflow.logs import step_log
    from pipelines.kubeflow.nodes import STEPS

    if options.step and options.step not in STEPS:
        raise UserError(f'--step is "{options.step}", but the steps are {", ".join(STEPS)}', remedy="name one of them")
    if options.output:
        return local_runs.show_log(options)
    client = client_of(options)
    run = client.run(options.run)
    steps = [options.step] if options.step else STEPS
    if options.follow:
        from pipelines.kubeflow.tail import tail

        def note(message: str) -> None:
            print(message, file=sys.stderr)

        tail(client, run.id, steps, lambda text: print(text, end="", flush=True), note)
        return ExitCode.DONE
    for step in steps:
        if log := step_log(client, run, step):
            print(log if options.step else f"--- {step}\n{log}", end="" if log.endswith("\n") else "\n")
    return ExitCode.DONE


def _retry(options: argparse.Namespace) -> int:
    if options.output:
        return local_runs.retry(options)
    client_of(options).retry(options.run)
    print(f"the run {options.run} goes on: hopline runs show {options.run} --wait")
    return ExitCode.DONE


def _terminate(options: argparse.Namespace) -> int:
    client_of(options).terminate(options.run)
    print(f"the run {options.run} is ending, or has ended")
    return ExitCode.DONE
