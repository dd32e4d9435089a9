"""`hopline doctor`: what is missing, and how to mend it."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hopline.runtime.errors import ExitCode
from pipelines.commands.parsing import (
    OUTPUT,
    Commands,
    add_config,
    add_format,
    add_server,
    command,
    name_images,
    print_json,
    server_of,
)
from pipelines.tables import text_table

if TYPE_CHECKING:
    from pipelines.doctor.check import Check

_TEXT = """\
Looks for what is missing and says how to mend it, in one table.  Changes nothing, but for an object that it writes
below --registry and removes.  Exit code 2 if something is missing.

examples:
  hopline doctor
  hopline doctor kind
  hopline doctor cluster --config configs/kind.toml --host http://localhost:8080
  hopline doctor cluster --registry gs://bucket/registry --service-account self --kube-namespace hopline

for what:
  run      this machine, for `hopline run`
  docker   this machine, for `hopline run --runner docker`
  kind     this machine, for `make kind-up`
  cluster  the cluster of the kubeconfig's current context

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "doctor", _doctor, "say what is missing, here or on a cluster", _TEXT)
    parser.add_argument("what", nargs="?", choices=tuple(_CHECKS), default="run", help="for what (%(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help="run: where runs go (%(default)s)")
    parser.add_argument("--registry", default="", metavar="PLACE", help="also a registry: a folder, gs:// or s3://")
    add_config(parser, required=False)
    parser.add_argument(
        "--service-account",
        default="",
        metavar="NAMESPACE/NAME",
        help="cluster: as whom the train step runs, `self` for yourself (default: as configured)",
    )
    add_format(parser, wide=True)
    add_server(parser)


def _doctor(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipelines.doctor import registry
    from pipelines.doctor.check import State, diagnose

    checks = _CHECKS[options.what](options)
    if options.registry:
        checks += registry.checks(options.registry)
    console, rows = Console(highlight=False), []
    with Console(highlight=False, stderr=True).status("looking") as status:
        for number, finding in enumerate(diagnose(checks), 1):
            rows.append(finding)
            status.update(f"looking: {number} of {len(checks)} done")
    code = ExitCode.USER if any(row.answer.state is State.MISSING for row in rows) else ExitCode.DONE
    if options.format == "json":
        answers = [(row.name, row.answer) for row in rows]
        print_json([{"check": n, "state": a.state.value, "found": a.found, "remedy": a.remedy} for n, a in answers])
        return code
    if options.format == "wide":
        lines = [(row.name, row.answer.state.value, row.answer.found, row.answer.remedy) for row in rows]
        print(text_table(("check", "state", "found", "remedy"), lines))
        return code
    table = Table("check", "state")
    table.add_column("found", overflow="fold")
    table.add_column("remedy", overflow="fold")
    styles = {State.OK: "green", State.MISSING: "bold red", State.UNKNOWN: "yellow"}
    for row in rows:
        state = row.answer.state
        table.add_row(row.name, Text(state.value, styles[state]), Text(row.answer.found), Text(row.answer.remedy))
    console.print(table)
    return code


def _run_checks(options: argparse.Namespace) -> "list[Check]":
    from pipelines.doctor import machine

    return machine.checks(options.output)


def _docker_checks(options: argparse.Namespace) -> "list[Check]":
    name_images()
    from pipelines.doctor import kind, machine

    return [*machine.checks(options.output), kind.DOCKER, machine.images()]


def _kind_checks(options: argparse.Namespace) -> "list[Check]":
    from pipelines.doctor import kind

    return kind.checks()


def _cluster_checks(options: argparse.Namespace) -> "list[Check]":
    from pipelines.config.config import Config
    from pipelines.doctor.cluster import Place, checks

    config = Config.load(options.config, options.overrides)
    namespace = options.kube_namespace or options.namespace or "kubeflow"
    return checks(Place.of(config, namespace, options.service_account, server_of(options) if options.host else None))


_CHECKS: "dict[str, Callable[[argparse.Namespace], list[Check]]]" = {
    "run": _run_checks,
    "docker": _docker_checks,
    "kind": _kind_checks,
    "cluster": _cluster_checks,
}
