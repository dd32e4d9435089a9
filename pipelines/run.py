"""`hopline run`: the whole pipeline on this machine; `pipelines.output` says what lies where.

    runs/<id>/      one run: config.toml, log.txt, and what was made: examples/, model/, evaluation/
    registry/       the champion, all promoted models, the history

The pipeline runs in a child process (`pipelines.driver`) with a session of its own, so that Ctrl-C reaches
this process alone, which then ends the others in order.  If this process is killed the others leave by
themselves (`hopline.runtime.process.follow_parent`).
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from components.steps import ARTIFACTS, STEPS
from hopline.artifacts import read_manifest
from hopline.runtime.errors import ExitCode, HoplineError, InternalError, StaleBlessingError, UserError
from hopline.runtime.process import FAILURE_FILE, child_environment, read_failure, write_failure
from hopline.runtime.progress import STATUS_VARIABLE
from hopline.store.folders import locked, remove_partial, remove_tree, whole, writable_folder, write_text
from pipelines.config.config import Config
from pipelines.display import Display, display
from pipelines.metrics import MetricsFile
from pipelines.output import CACHE, LOCK, RUNS, Output
from pipelines.supervise import StoppedError, StopRequest, stop_requests, stop_session
from pipelines.watch import State, Watch

LOG = "log.txt"
CONFIG = "config.toml"
RUNNERS = ("subprocess", "docker")  # what a step is: a process of this machine, or a container
STALE_RETRIES = 2  # the champion may change while a challenger is evaluated; then it is evaluated again
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        place: path or URI of what it left: the log, and all artifacts that were made.
        resolution: content of resolution.json; empty if the run did not come so far.
        evaluation: facts of the evaluation's manifest; empty if there is none.
        failure: why it failed; None if it succeeded.
    """

    place: str
    resolution: dict[str, str]
    evaluation: dict[str, Any] = field(default_factory=dict)
    failure: HoplineError | None = None


def run_pipeline(
    config: Config, output: Output, console: Console, runner: str = "subprocess", metrics: Path | None = None
) -> Run:
    """Runs the pipeline and shows it on `console`; `runner` is one of RUNNERS, `metrics` a file for Prometheus.

    Raises:
        UserError: `output` cannot be written or is in use, or Docker is asked for and not ready.
        HoplineError: this run, or a former one, is finished and could not be brought to its place.
    """
    output.prepare(console)
    with exclusive(output):
        output.deliver()
        run = _run(config, output, console, runner, metrics)
        if run.failure is None:
            output.deliver()
        return run


def _run(config: Config, output: Output, console: Console, runner: str, metrics: Path | None) -> Run:
    """Runs the pipeline in a new folder of its own."""
    runs = writable_folder(output.folder / RUNS, "the folder of runs")
    remove_partial(runs)
    folder = runs / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    with stop_requests() as stop:
        with whole(folder) as partial:
            write_text(partial / CONFIG, config_toml(config))
            with display(console) as shown:
                screen = MetricsFile(shown, metrics) if metrics else shown
                for attempt in range(1 + STALE_RETRIES):
                    watch = Watch(partial / f"kfp-{attempt}", partial / "status.json")
                    failure = _attempt(watch, output, partial, runner, screen, stop)
                    if not isinstance(failure, StaleBlessingError) or attempt == STALE_RETRIES:
                        break
                    screen.note(f"{failure.message}: once more, against the champion that stands now")
            resolution = _keep(watch, partial)
            if failure:
                write_failure(partial / FAILURE_FILE, "run", failure)
        evaluation = folder / ARTIFACTS["evaluate"]
        facts = read_manifest(evaluation, "evaluation").facts if evaluation.exists() else {}
        place = str(folder) if failure else output.run_place(folder.name)
        return Run(place, resolution, facts, failure)


@contextlib.contextmanager
def exclusive(output: Output) -> Iterator[None]:
    """Holds the output's folder against other runs.

    Raises:
        UserError: another process holds it; the message says which.
    """
    lock = output.folder / LOCK
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, wait=False))
        except BlockingIOError as error:
            holder = lock.read_text(encoding="utf-8").strip()
            raise UserError(
                f"{output.folder} is in use by another hopline, process {holder or 'unknown'}",
                remedy="wait for its end, or choose another --output",
            ) from error
        yield


def clean(output: Output) -> int:
    """Removes the cache of the output and returns the bytes that it freed.

    Raises:
        UserError: its folder is not one that `hopline run` has made, or a run is using it.
    """
    folder = output.folder
    if not (folder / LOCK).is_file() or not (folder / RUNS).is_dir():
        raise UserError(f"{folder} is not an output folder of hopline", remedy="name the --output of earlier runs")
    with exclusive(output):
        remove_partial(folder)  # of a `clean` that was stopped
        cache = folder / CACHE
        files = [path.lstat() for path in cache.rglob("*") if not path.is_dir()]
        remove_tree(cache)
        return sum(file.st_size for file in files if file.st_nlink == 1)  # the others live on in runs and registry


def config_toml(config: Config) -> str:
    """`config` as a TOML file with every key, for `Config.load`."""

    def value(item: object) -> str:  # JSON is TOML here, but for the one character that JSON need not escape
        return json.dumps(item, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")

    sections = (
        "\n".join([f"[{name}]", *(f"{key} = {value(item)}" for key, item in values.items())])
        for name, values in config.to_dict().items()
    )
    return "\n\n".join(sections) + "\n"


def _attempt(
    watch: Watch, output: Output, folder: Path, runner: str, screen: Display, stop: StopRequest
) -> HoplineError | None:
    """Runs the driver to its end, in whatever way that comes; returns what went wrong."""
    failure = output.folder / CACHE / FAILURE_FILE
    failure.unlink(missing_ok=True)
    watch.status.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pipelines.driver", "--config", str(folder / CONFIG)]
    command += ["--output", str(output.folder), "--registry", output.registry]
    command += ["--root", str(watch.root), "--runner", runner]
    with contextlib.ExitStack() as stack:
        if runner == "docker":
            stack.enter_context(_containers(output, folder))
        log, scratch = stack.enter_context((folder / LOG).open("ab")), stack.enter_context(_temporary_folder())
        environment = child_environment({STATUS_VARIABLE: str(watch.status), "TMPDIR": scratch})
        driver = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            while driver.poll() is None and not stop.number:
                screen.show(watch.look())
                time.sleep(_LOOK_SECONDS)
            if stop.number:
                screen.note("stopping: the running step saves its work first (once more: kill it)")
        finally:
            stop_session(driver, hurry=lambda: stop.repeated)
    if driver.returncode == ExitCode.DONE:
        screen.show(watch.last_look(running=State.FAILED, waiting=State.SKIPPED))
        return _unexpected_gap(watch)
    screen.show(watch.last_look(running=State.STOPPED if stop.number else State.FAILED, waiting=State.NOT_REACHED))
    if stop.number:
        return StoppedError(stop.number)
    return read_failure(failure) or InternalError("the run failed outside of its steps", remedy="read the log")


@contextlib.contextmanager
def _containers(output: Output, folder: Path) -> Iterator[None]:
    """Lets the containers of a run exist while the block runs."""
    from pipelines.containers import prepare, remove_containers

    prepare(output.folder, [*output.written, folder])
    try:
        yield
    finally:
        remove_containers(output.folder)


def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """TMPDIR of a run, since kfp leaves a folder behind for each task that it starts.

    It is not below the output folder: sockets, which libraries put there, have a short limit on their path.
    """
    return tempfile.TemporaryDirectory(prefix="hopline-", ignore_cleanup_errors=True)


def _unexpected_gap(watch: Watch) -> HoplineError | None:
    """The error for a run that kfp calls a success although a step that was decided on never ran.

    kfp.local takes a condition that it fails to evaluate for false.
    """
    wanted = None
    if _content(watch, "resolve", "resolution.json").get("action") == "train":
        wanted = "evaluate"
    if _content(watch, "evaluate", "decision.json").get("decision") == "promote":
        wanted = "promote"
    if wanted is None or watch.artifact(wanted):
        return None
    return InternalError(f"kfp ended without running {wanted}, which was due", remedy="report it with the log")


def _keep(watch: Watch, folder: Path) -> dict[str, str]:
    """Moves what was made from kfp's folder into the run's, removes the rest, returns resolution.json."""
    resolution = _content(watch, "resolve", "resolution.json")
    for step in STEPS:
        if step.kept and (artifact := watch.artifact(step.name)):
            artifact.rename(folder / step.artifact)
    for leftover in folder.glob("kfp-*"):
        shutil.rmtree(leftover)
    watch.status.unlink(missing_ok=True)
    return resolution


def _content(watch: Watch, step: str, name: str) -> dict[str, str]:
    artifact = watch.artifact(step)
    return json.loads((artifact / name).read_text(encoding="utf-8")) if artifact else {}
