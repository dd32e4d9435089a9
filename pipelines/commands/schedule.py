"""`hopline schedule`: runs that a cluster starts by itself."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands.parsing import (
    Commands,
    add_config,
    add_format,
    add_preflight,
    add_server,
    client_of,
    command,
    group,
    preflight,
    print_json,
)
from pipelines.config.cron import Cron

if TYPE_CHECKING:
    from pipelines.kubeflow.client import Client
    from pipelines.kubeflow.resources import RecurringRun

_TEXT = """\
Makes, shows, pauses and deletes schedules of a Kubeflow Pipelines server, which starts their runs.  Times are UTC: a
server reads a schedule in its CRON_SCHEDULE_TIMEZONE, which is UTC unless its installation sets another.

examples:
  hopline schedule apply --config configs/retrain.toml --dry-run
  hopline schedule apply --config configs/retrain.toml
  hopline schedule list
  hopline schedule pause retraining

"""
_APPLY = """\
Brings the server to what [schedule] of the configuration says: makes the schedule, replaces it if anything of it has
changed (cron, parameters, the pipeline's version), pauses or resumes it, and does nothing if nothing has.  A run that
is active is never ended: its schedule is disabled, and deleted by an apply after the run's end.  Stopped or killed at
any moment, the same command continues.

examples:
  hopline schedule apply --config configs/retrain.toml --dry-run
  hopline schedule apply --config configs/retrain.toml --set schedule.paused=true

"""
_LIST = """\
Lists all schedules, newest first: name, whether it fires, cron (its first field are seconds), the next time in UTC, the
run that is active, the last success, the server's id (with -o wide also experiment, version and account); and below it
why the last run has failed, if it has.

"""
_PAUSE = """\
Disables a schedule; its active run goes on.  The next `hopline schedule apply` resumes it, unless schedule.paused is
true.

"""
_RESUME = """\
Enables a schedule.  If a time has passed meanwhile, the server starts one run at once to make up for it.

"""
_DELETE = """\
Deletes a schedule.  If a run of it is active, it is only disabled, unless --and-its-runs is given.

"""
_TIMES = 3


def add(commands: Commands) -> None:
    """Declares the commands."""
    actions = group(commands, "schedule", "make, show, pause and delete schedules on a Kubeflow cluster", _TEXT)

    applying = command(actions, "apply", _apply, "bring the server to what a configuration says", _APPLY)
    add_config(applying, required=True)
    add_preflight(applying)
    applying.add_argument("--dry-run", action="store_true", help="print what would change, and change nothing")

    listing = command(actions, "list", _list, "all schedules, and when they fire next", _LIST)
    add_format(listing, wide=True)
    pausing = command(actions, "pause", _pause, "keep a schedule from firing", _PAUSE)
    resuming = command(actions, "resume", _resume, "let a paused schedule fire again", _RESUME)
    deleting = command(actions, "delete", _delete, "delete a schedule", _DELETE)
    deleting.add_argument("--and-its-runs", action="store_true", help="end its active run as well")
    for action in (pausing, resuming, deleting):
        action.add_argument("name", help="its schedule.display_name")
    for action in (applying, listing, pausing, resuming, deleting):
        add_server(action)


def _apply(options: argparse.Namespace) -> int:
    from pipelines.config.config import Config
    from pipelines.kubeflow.resources import Version
    from pipelines.kubeflow.schedule import apply, named
    from pipelines.kubeflow.schedule_plan import Wanted, outline
    from pipelines.kubeflow.submission import find, prepare, upload, warnings

    config = Config.load(options.config, options.overrides)
    name = config.schedule.display_name
    if not name:
        raise UserError("the configuration has no [schedule]", remedy="add one, such as that of configs/retrain.toml")
    submission = prepare(config)
    for warning in warnings(config, submission):
        print(f"warning: {warning}")
    preflight(options, config)
    client = client_of(options)
    planned = submission.version_names[0]
    wanted = Wanted(
        name=name,
        cron=config.schedule.cron,
        paused=config.schedule.paused,
        version=find(client, submission) or Version(id=planned, pipeline="", name=planned),
        experiment=client.find_experiment(submission.experiment) or submission.experiment,
        parameters=submission.parameters,
        service_account=submission.service_account,
    )
    found = named(client, name)
    names = {wanted.version.id: wanted.version.name, wanted.experiment: submission.experiment}
    lines = outline(wanted, found, names | _version_names(client, found))
    for line in lines or ["is on the server as it should be"]:
        print(f"{name}: {line}")
    if lines and not options.dry_run:
        version, experiment = upload(client, submission), client.experiment(submission.experiment)
        apply(client, replace(wanted, version=version, experiment=experiment), lambda line: print(f"{name}: {line}"))
    for time in [] if config.schedule.paused else Cron.parse(config.schedule.cron).upcoming(datetime.now(UTC), _TIMES):
        print(f"{name}: fires at {_shown(time)}")
    return ExitCode.DONE


def _list(options: argparse.Namespace) -> int:
    client = client_of(options)
    found = [_described(client, schedule) for schedule in client.recurring_runs()]
    if options.format == "json":
        print_json(found)
        return ExitCode.DONE
    if not found:
        print("no schedules")
    rows = [
        (
            str(each["name"]),
            "on" if each["enabled"] else "paused",
            str(each["cron"]),
            str(each["next"] or ("?" if each["enabled"] and not each["readable"] else "-")),
            ", ".join(f"running {run}" for run in each["active"]) or "idle",
            f"last success {each['last_success'] or 'never'}",
            str(each["id"]),
            *((each["experiment"], each["version"], each["account"]) if options.format == "wide" else ()),
        )
        for each in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, each in zip(rows, found, strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if each["last_failure"]:
            print(f"  the last run, {each['last_run']}, failed: {each['last_failure']}")
    return ExitCode.DONE


def _described(client: "Client", schedule: "RecurringRun") -> dict[str, Any]:
    """A schedule as JSON; times are in UTC."""
    from pipelines.kubeflow.follow import outcome
    from pipelines.kubeflow.schedule import history

    past = history(client, schedule)
    failure = None
    if past.last and past.last.state != "SUCCEEDED":
        failure = outcome(client, client.run(past.last.id)).failure
    upcoming = _upcoming(schedule)
    return {
        "name": schedule.name,
        "id": schedule.id,
        "enabled": schedule.enabled,
        "cron": schedule.cron,
        "readable": upcoming is not None,
        "next": _shown(upcoming[0]) if upcoming else None,
        "active": [run.id for run in past.active],
        "last_success": _shown(past.success.finished) if past.success and past.success.finished else None,
        "last_run": past.last.id if past.last else None,
        "last_failure": failure.message if failure else None,
        "experiment": schedule.experiment,
        "version": schedule.version,
        "account": schedule.service_account,
    }


def _pause(options: argparse.Namespace) -> int:
    from pipelines.kubeflow.schedule import pause

    pause(client_of(options), options.name)
    print(f"{options.name}: paused; a run that is active goes on")
    return ExitCode.DONE


def _resume(options: argparse.Namespace) -> int:
    from pipelines.kubeflow.schedule import resume

    print(f"{options.name}: fires again, next at {_next(resume(client_of(options), options.name))}")
    return ExitCode.DONE


def _delete(options: argparse.Namespace) -> int:
    from pipelines.kubeflow.schedule import delete

    delete(
        client_of(options), options.name, lambda line: print(f"{options.name}: {line}"), end_runs=options.and_its_runs
    )
    print(f"{options.name}: deleted")
    return ExitCode.DONE


def _version_names(client: "Client", found: "Sequence[RecurringRun]") -> dict[str, str]:
    """The names by id of all versions of the schedules' pipelines."""
    pipelines = {schedule.pipeline for schedule in found} - {""}
    return {version.id: version.name for pipeline in pipelines for version in client.versions(pipeline)}


def _next(schedule: "RecurringRun") -> str:
    """When the schedule fires next, if that is known."""
    upcoming = _upcoming(schedule)
    return "?" if upcoming is None else _shown(upcoming[0]) if upcoming else "-"


def _upcoming(schedule: "RecurringRun") -> list[datetime] | None:
    """The next time it fires, if it does; None if unknown: a schedule made elsewhere may be of another kind."""
    try:
        return Cron.parse(schedule.cron).upcoming(datetime.now(UTC), 1) if schedule.enabled else []
    except UserError:
        return None


def _shown(time: datetime) -> str:
    time = time.astimezone(UTC)
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
