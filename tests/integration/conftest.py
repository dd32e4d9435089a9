"""The real pipeline, every step of it, on a small synthetic corpus."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support import synthetic_documents

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
[corpus]
train = "train.txt"
valid = "valid.txt"
documents = "blank-line"

[preprocess]
tokeniser = "whitespace"
min_count = 1
context = 16

[model]
width = 16
hops = 2
memory = 8
tie = "output"
init_stddev = 0.3

[train]
sequences = 8
targets = 16
epochs = 2
checkpoint_seconds = 0.0

[evaluate]
beat = "none"  # a model of a few steps knows less than the word frequencies
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Project:
    """A user's folder with a corpus and a configuration, from which `hopline` is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        self.place = "output"  # what --output is
        self.path = str(ROOT)  # PYTHONPATH
        (folder / "train.txt").write_text("\n".join(synthetic_documents(1, 12, 250)))
        (folder / "valid.txt").write_text("\n".join(synthetic_documents(2, 3, 150)))
        (folder / "config.toml").write_text(CONFIG)

    def set(self, **patterns):
        """Gives the splits other patterns."""
        text = (self.folder / "config.toml").read_text()
        for split, pattern in patterns.items():
            text = text.replace(f'{split} = "{split}.txt"', f'{split} = "{pattern}"')
        (self.folder / "config.toml").write_text(text)

    def start(self, *arguments):
        command = [sys.executable, "-m", "pipelines.cli", "run", "--config", "config.toml", "--output", self.place]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": self.path, "PYTHONSAFEPATH": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def run(self, *arguments):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=400)
        return Ended(process.returncode, out, err)

    def start_until(self, moment):
        """Starts a run and returns its process as soon as `moment`, a glob below the local folder, is there."""
        process = self.start()
        deadline = time.monotonic() + 300
        while not list(self.output.glob(moment)):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    def kill_at(self, moment):
        """Starts a run and kills it as soon as `moment` is there."""
        process = self.start_until(moment)
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(descendants, timeout=20)
        assert not alive, "every process leaves with the run"

    @property
    def runs(self):
        return sorted((self.output / "runs").iterdir())

    @property
    def champion(self):
        path = self.output / "registry" / "champion.json"
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)
