"""`hopline resize`: another number of workers for a training that runs."""

import argparse
from dataclasses import replace

from hopline.config.section import require
from hopline.runtime.errors import ExitCode, UserError
from pipelines.commands.parsing import OUTPUT, Commands, add_server, client_of, command, positive

_TEXT = """\
Lets a training that runs go on with another number of workers.  All workers save and end; as many as are asked for go
on from there.  The loss curve does not depend on the number of workers: train.sequences, the batch of all of them
together, stays, and must divide evenly among them.  A run that is started again goes on with that number.

examples:
  hopline resize 20261125-093000-123456 --workers 4
  hopline resize 1f0c2f3e-... --workers 1 --kube-namespace kubeflow

"""


def add(commands: Commands) -> None:
    """Declares the command."""
    parser = command(commands, "resize", _resize, "go on with another number of training workers", _TEXT)
    parser.add_argument("run", help="its id; `hopline runs list` shows it, with --output for runs of this machine")
    parser.add_argument("--workers", type=positive, required=True, metavar="N", help="how many are to go on")
    parser.add_argument(
        "--output", default=str(OUTPUT), metavar="PLACE", help="of a run of this machine: its --output (%(default)s)"
    )
    add_server(parser)


def _resize(options: argparse.Namespace) -> int:
    from pipelines.local_runs import is_local

    where = _local(options) if is_local(options.run) else _on_cluster(options)
    print(f"{options.run}: {options.workers} workers are asked for; {where}")
    return ExitCode.DONE


def _local(options: argparse.Namespace) -> str:
    from hopline.store import resizing
    from pipelines.config.config import Config
    from pipelines.local_runs import find
    from pipelines.output import CACHE, open_output

    output = open_output(options.output)
    run = find(output, options.run)
    require(run.state == "RUNNING", f"the run {run.id} does not run: it is {run.state}", "name one that runs")
    replace(Config.load(run.config).train, workers=options.workers)  # raises where the batch cannot be divided
    trainings = resizing.running(output.folder / CACHE)
    require(len(trainings) == 1, f"the run {run.id} is not in its step train", "wait until it trains")
    resizing.ask(trainings[0], options.workers)
    return f"training goes on in {trainings[0]}"


def _on_cluster(options: argparse.Namespace) -> str:
    from hopline.config.job import JobConfig
    from hopline.config.train import TrainConfig
    from pipelines.kubeflow.jobs import ask_for_workers
    from pipelines.kubeflow.nodes import pods

    if not options.kube_namespace:
        raise UserError(
            "--kube-namespace is not given, in which the workers' Job is to be found",
            remedy="pass it, often kubeflow, or set HOPLINE_KFP_KUBE_NAMESPACE",
        )
    run = client_of(options).run(options.run)
    require(not run.ended, f"the run {run.id} does not run: it is {run.state}", "name one that runs")
    config = TrainConfig.from_json(run.parameters.get("train", "{}"))
    job = JobConfig.from_json(run.parameters.get("job", "{}"))
    devices = options.workers * max(1, job.accelerators)
    require(
        config.sequences % devices == 0,
        f"--workers is {options.workers}, but train.sequences = {config.sequences} must divide evenly among {devices} "
        "workers or devices",
        f"choose a number that divides {config.sequences}",
    )
    return f"their Job is {ask_for_workers(options.kube_namespace, pods(run, 'train'), options.workers)}"
