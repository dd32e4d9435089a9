"""Training runs of the real program on a synthetic corpus, shared by the tests of this folder."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hopline.runtime.process import FAILURE_FILE
from pipelines.config.config import Config
from tests.support import synthetic_documents, write_examples

ROOT = Path(__file__).resolve().parents[3]
MODEL = {"width": 16, "hops": 2, "memory": 8, "tie": "output", "init_stddev": 0.3}
TRAIN = {"sequences": 8, "targets": 16, "epochs": 2, "checkpoint_seconds": 0.0}


@dataclass(frozen=True)
class Run:
    """A training run: its exit code, its folders and what it said."""

    code: int
    output: Path
    work: Path
    said: str

    @property
    def log(self):
        return [json.loads(line) for line in (self.output / "log.jsonl").read_text().splitlines()]

    @property
    def losses(self):
        return [record["loss"] for record in self.log if "loss" in record]

    @property
    def failure(self):
        return json.loads((self.work / FAILURE_FILE).read_text())


def command(examples, folder, model=MODEL, extra=(), **train):
    return [
        sys.executable, "-m", "components.train", "--examples", str(examples),
        "--model-config", json.dumps(model), "--train-config", json.dumps({**TRAIN, **train}),
        "--output", str(folder / "model"), "--work-dir", str(folder / "work"), *extra,
    ]  # fmt: skip


def run_training(examples, folder, **settings):
    arguments = command(examples, folder, **settings)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
    return Run(done.returncode, folder / "model", folder / "work", done.stdout + done.stderr)


def tiny_settings():
    """`configs/tiny.toml`, forty steps at most, and in float32: processors differ in how they multiply bfloat16."""
    config = Config.load(ROOT / "configs" / "tiny.toml")
    return {"model": config.model.to_dict(), **config.train.to_dict(), "max_steps": 40, "precision": "float32"}


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    splits = {"train": synthetic_documents(1, 12, 250), "valid": synthetic_documents(2, 3, 150)}
    write_examples(folder, splits)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def trained(examples, tmp_path_factory):
    """An undisturbed run with one worker."""
    run = run_training(examples, tmp_path_factory.mktemp("trained"))
    assert run.code == 0, run.said
    return run
