"""`hopline submit`: the pipeline on a cluster."""

import argparse
from typing import TYPE_CHECKING

from hopline.runtime.errors import ExitCode, StaleBlessingError
from pipelines.commands.parsing import Commands, add_config, add_preflight, add_server, client_of, command, preflight

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.config.config import Config
    from pipelines.kubeflow.submission import Submission

_TEXT = """\
Runs the pipeline on a Kubeflow Pipelines server: checks the configuration, uploads the compiled pipeline as a version
named by the git commit unless the server has it, and starts a run.  With --wait it follows the run, and ends with its
exit code.  Ctrl-C while it follows leaves the run running.

examples:
  kubectl --namespace kubeflow port-forward service/ml-pipeline-ui 8080:80 &
  export HOPLINE_KFP_HOST=http://localhost:8080
  hopline submit --config configs/tiny.toml --registry s3://models/tiny --dry-run
  hopline submit --config configs/tiny.toml --registry s3://models/tiny --wait
  hopline submit --config configs/ptb.toml --registry s3://models/ptb --launcher kubernetes \\
      --set job.store=s3://models/training --set cluster.tag=$(git rev-parse --short=12 HEAD)

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "submit", _submit, "run the pipeline on a Kubeflow cluster", _TEXT)
    add_config(parser, required=True)
    parser.add_argument("--registry", metavar="URI", help="the registry; the same as --set cluster.registry=URI")
    parser.add_argument("--experiment", metavar="NAME", help="the same as --set cluster.experiment=NAME")
    parser.add_argument("--launcher", choices=("local", "kubernetes"), help="the same as --set cluster.launcher=...")
    parser.add_argument("--name", default="", help="the run's name (default: time and commit)")
    parser.add_argument("--wait", action="store_true", help="follow the run to its end, and end as it does")
    parser.add_argument(
        "--timeout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="with --wait: stop following then; the run goes on",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")
    add_preflight(parser)
    add_server(parser)


def _submit(options: argparse.Namespace) -> int:
    from rich.console import Console

    from pipelines.config.config import Config
    from pipelines.kubeflow.submission import prepare, start, upload, warnings

    config = Config.load(options.config, [*options.overrides, *_overrides(options)])
    submission = prepare(config, options.name)
    console = Console(highlight=False)
    for warning in warnings(config, submission):
        console.print(f"warning: {warning}", markup=False, soft_wrap=True)
    for line in _estimate(config):
        console.print(line, markup=False, soft_wrap=True)
    preflight(options, config)
    if options.dry_run:
        _print_plan(submission, console)
        return ExitCode.DONE

    from pipelines.commands.runs import end, wait
    from pipelines.run import STALE_RETRIES

    client = client_of(options)
    version = upload(client, submission)
    for attempt in range(1 + STALE_RETRIES):
        run = start(client, submission, version)
        console.print(f"run {run.id} of version {version.name}: {client.page(run.id)}", markup=False, soft_wrap=True)
        if not options.wait:
            return ExitCode.DONE
        came = wait(client, run.id, options.timeout, console)
        if not isinstance(came.failure, StaleBlessingError) or attempt == STALE_RETRIES:
            break
        console.print(f"{came.failure.message}: once more, against the champion that stands now", markup=False)
    return end(came, client, console)


def _estimate(config: "Config") -> list[str]:
    """What training will cost, for the cores and GPUs that its workers are given."""
    from pipelines.estimate import describe

    workers, job = config.train.workers, config.job
    if config.cluster.launcher == "kubernetes":
        return describe(config, cores=workers * job.cores, accelerators=workers * job.accelerators)
    return describe(config, cores=config.cluster.cores)


def _overrides(options: argparse.Namespace) -> list[str]:
    """The options that stand for a key of [cluster]; as TOML strings, so that none is taken for another value."""
    import json

    given = {key: getattr(options, key) for key in ("registry", "experiment", "launcher")}
    return [f"cluster.{key}={json.dumps(value)}" for key, value in given.items() if value is not None]


def _print_plan(submission: "Submission", console: "Console") -> None:
    """Prints what would be sent."""
    from pipelines.closing import print_rows
    from pipelines.kubeflow.submission import PIPELINE

    rows = [
        ("pipeline", PIPELINE),
        ("version", " or, if that holds something else, ".join(submission.version_names)),
        ("experiment", submission.experiment),
        ("run", submission.run_name),
        ("account", submission.service_account or "the server's default"),
        *((("images" if not index else ""), image) for index, image in enumerate(submission.images)),
        *((name, value) for name, value in submission.parameters.items()),
    ]
    print_rows(rows, console)
