"""`hopline` as a process of its own, with fake programs in the place of the steps'."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from components.steps import IMAGES

ROOT = Path(__file__).parents[2]
FAKE_PROGRAM = Path(__file__).with_name("fake_program.py")
STEPS = tuple(IMAGES)

# What is not here (component.py) is found in the real package, further down the path.
_PACKAGE = "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)\n"
_MAIN = "import runpy, sys\nsys.argv.insert(1, {step!r})\nrunpy.run_path({program!r}, run_name='__main__')\n"


class Hopline:
    """Runs `hopline` from the folder `folder`."""

    def __init__(self, folder: Path, fakes: Path) -> None:
        self.folder = folder
        self.output = folder / "out"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        path = {"PYTHONPATH": f"{fakes}{os.pathsep}{ROOT}", "PYTHONSAFEPATH": "1"}
        self.environment = {**os.environ, **path, "TMPDIR": str(self.temporary)}
        (folder / "config.toml").write_text("[train]\nepochs = 1\n")

    def start(self, *arguments: object, **behaviour: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", *map(str, arguments)],
            cwd=self.folder,
            env={**self.environment, "FAKE_STEPS": json.dumps(behaviour)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def start_run(self, *arguments: object, **behaviour: str) -> "subprocess.Popen[str]":
        return self.start("run", "--config", "config.toml", "--output", self.output, *arguments, **behaviour)

    def call(self, *arguments: object, **behaviour: str) -> "subprocess.CompletedProcess[str]":
        return finish(self.start(*arguments, **behaviour))

    def run(self, *arguments: object, **behaviour: str) -> "subprocess.CompletedProcess[str]":
        return finish(self.start_run(*arguments, **behaviour))

    def runs(self) -> list[Path]:
        """The folders of all runs, hidden ones included, oldest first."""
        return sorted((self.output / "runs").iterdir())

    def step_processes(self) -> list[psutil.Process]:
        """The steps' programs that are still alive."""
        pids = [int(path.name) for path in (self.output / "cache" / "pids").glob("*")]
        return self.living(psutil.Process(pid) for pid in pids if psutil.pid_exists(pid))

    def living(self, processes: Iterable[psutil.Process]) -> list[psutil.Process]:
        """Those that still run; a zombie does not, and where no init reaps it stays one."""
        found = []
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [process] * (process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        return found


def finish(process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="session")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with a `components` package: the real declarations, fake programs."""
    folder = tmp_path_factory.mktemp("fakes")
    for name in ("components", *(f"components/{step}" for step in STEPS)):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(_PACKAGE)
    for step in STEPS:
        main = folder / "components" / step / "__main__.py"
        main.write_text(_MAIN.format(step=step, program=str(FAKE_PROGRAM)))
    return folder


@pytest.fixture
def hopline(tmp_path: Path, fakes: Path) -> Hopline:
    return Hopline(tmp_path, fakes)
