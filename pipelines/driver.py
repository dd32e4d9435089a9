"""Runs the pipeline on this machine: `python -m pipelines.driver`, the child of `hopline run`.

A process of its own, because kfp.local prints where it likes, replaces the root logger's handlers and
patches `print` while it runs: here all of it goes to the log that the parent has made our output.
"""

import argparse
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from docker.errors import DockerException
from kfp import local
from kfp.local import docker_task_handler, subprocess_task_handler

from hopline.runtime.errors import ExitCode, HoplineError
from hopline.runtime.process import FAILURE_FILE, child_environment, follow_parent, write_failure
from pipelines.config.config import Config
from pipelines.containers import StepContainers, docker_runner
from pipelines.output import CACHE
from pipelines.pipeline import parameters, training_pipeline
from pipelines.run import RUNNERS


def run_local(config: Config, *, output: Path, registry: str, root: Path, runner: str) -> None:
    """Runs the pipeline with kfp.local; every step is a process, or a container, on this machine.

    Args:
        config: the configuration; corpus patterns are absolute.
        output: folder of the steps' work, where a failed step leaves its `failure.json`.
        registry: path or URI of the registry.
        root: kfp's folder: `root/hopline-<time>/<step>/<artifact>`.
        runner: one of RUNNERS.

    Raises:
        RuntimeError: a step failed.
    """
    subprocess_task_handler.replace_python_executable = _with_interpreter
    if runner == "docker":
        containers = StepContainers(output)
        docker_task_handler.run_docker_container = containers.run
        signal.signal(signal.SIGTERM, lambda number, frame: containers.stop())
    local.init(
        runner=docker_runner(config.corpus, output, config.model.pretrained)
        if runner == "docker"
        else local.SubprocessRunner(use_venv=False),
        pipeline_root=str(root),
        workspace_root=str(root / "workspace"),  # unused, but else a folder in /tmp that is left behind when killed
        raise_on_error=True,
    )
    training_pipeline()(registry=registry, work_dir=str(output / CACHE), launcher="local", **parameters(config))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the pipeline that the arguments describe; the exit code says only whether it came to its end."""
    arguments = argparse.ArgumentParser(prog="python -m pipelines.driver", description=__doc__, allow_abbrev=False)
    for name in ("config", "output", "root"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--registry", required=True)
    arguments.add_argument("--runner", choices=RUNNERS, required=True)
    options = arguments.parse_args(argv)
    follow_parent()
    environment = child_environment()
    os.environ.clear()  # kfp starts its children with ours: they follow this process, and inherit what its children may
    os.environ.update(environment)
    # Told to stop, the steps end first (each is told as well) and kfp then stops by itself.  A function, since
    # SIG_IGN would be inherited by the steps.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
    try:
        config = Config.load(options.config)
        run_local(config, output=options.output, registry=options.registry, root=options.root, runner=options.runner)
    except HoplineError as error:  # before or between the steps, which report their own in the same way
        write_failure(options.output / CACHE / FAILURE_FILE, "run", error)
        return error.code
    except (RuntimeError, DockerException) as error:
        print(error, file=sys.stderr)
        return ExitCode.INTERNAL
    return ExitCode.DONE


def _with_interpreter(command: list[str], interpreter: str) -> list[str]:
    """The command of a task, whose shell script calls `python3`, with our interpreter in its place.

    kfp's own function replaces that word in the step's arguments as well (a corpus in /usr/lib/python3 is
    then looked for elsewhere), and does not quote the interpreter for the shell.
    """
    shell, flags, script, *rest = command
    return [shell, flags, script.replace("python3", shlex.quote(interpreter)), *rest]


if __name__ == "__main__":
    sys.exit(main())
