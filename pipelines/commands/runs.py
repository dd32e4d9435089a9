"""`hopline runs`: what became of the runs on a cluster."""

import argparse
import itertools
from typing import TYPE_CHECKING

from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands.parsing import Commands, add_server, client_of, command, group, positive

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.kubeflow.client import Client
    from pipelines.kubeflow.follow import Outcome

_TEXT = """\
Shows the runs on a Kubeflow Pipelines server, and ends them.

examples:
  hopline runs list
  hopline runs show 1f0c2f3e-... --wait
  hopline runs logs 1f0c2f3e-... --step train
  hopline runs terminate 1f0c2f3e-...

"""


def add(commands: Commands) -> None:
    """Declares the commands."""
    actions = group(commands, "runs", "list, show and end runs on a Kubeflow cluster", _TEXT)

    listing = command(actions, "list", _list, "the newest runs", "Lists runs, newest first.\n")
    listing.add_argument("--experiment", default="", metavar="NAME", help="of this experiment alone")
    listing.add_argument("--count", type=positive, default=20, metavar="N", help="at most so many (%(default)s)")

    showing = command(actions, "show", _show, "the steps of a run", "Shows a run, and what came of it.\n")
    showing.add_argument("run", help="its id")
    showing.add_argument("--wait", action="store_true", help="follow it to its end, and end as it does")
    showing.add_argument(
        "--timeout", type=float, default=0.0, metavar="SECONDS", help="with --wait: stop following then"
    )

    logs = command(actions, "logs", _logs, "the log of a run's steps", "Prints the logs of a run's steps.\n")
    logs.add_argument("run", help="its id")
    logs.add_argument("--step", help="of this step alone")

    ending = command(actions, "terminate", _terminate, "end a run", "Ends a run.  One that has ended stays as it is.\n")
    ending.add_argument("run", help="its id")
    for action in (listing, showing, logs, ending):
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
    client = client_of(options)
    experiment = ""
    if options.experiment:
        found = client.find_experiment(options.experiment)
        if found is None:
            raise UserError(
                f"there is no experiment {options.experiment}", remedy="correct --experiment, or leave it out"
            )
        experiment = found
    for run in itertools.islice(client.runs(experiment), options.count):
        created = run.created.astimezone().strftime("%Y-%m-%d %H:%M:%S") if run.created else ""
        print(f"{run.id}  {created:19}  {run.state:9}  {run.name}")
    return ExitCode.DONE


def _show(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from pipelines.display import steps_table
    from pipelines.kubeflow.follow import outcome
    from pipelines.kubeflow.nodes import views

    client, console = client_of(options), Console(highlight=False)
    if options.wait:
        return end(wait(client, options.run, options.timeout, console), client, console)
    run = client.run(options.run)
    console.print(Text(f"{run.name}: {run.state}"), soft_wrap=True)
    console.print(steps_table(views(run)))
    if not run.ended:
        console.print(Text(f"page:  {client.page(run.id)}"), soft_wrap=True)
        return ExitCode.DONE
    end(outcome(client, run), client, console)
    return ExitCode.DONE


def _logs(options: argparse.Namespace) -> int:
    from pipelines.kubeflow.logs import step_log
    from pipelines.kubeflow.nodes import STEPS

    if options.step and options.step not in STEPS:
        raise UserError(f'--step is "{options.step}", but the steps are {", ".join(STEPS)}', remedy="name one of them")
    client = client_of(options)
    run = client.run(options.run)
    for step in [options.step] if options.step else STEPS:
        if log := step_log(client, run, step):
            print(log if options.step else f"--- {step}\n{log}", end="" if log.endswith("\n") else "\n")
    return ExitCode.DONE


def _terminate(options: argparse.Namespace) -> int:
    client_of(options).terminate(options.run)
    print(f"the run {options.run} is ending, or has ended")
    return ExitCode.DONE
