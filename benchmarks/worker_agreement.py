"""How far the loss curves of 1, 2 and 4 worker processes are apart, for several recipes.

    python -m benchmarks.worker_agreement --examples hopline-output/runs/<id>/examples

Trains an epoch of `configs/tiny.toml` on the examples of a run of it, with SGD and AdamW, tied and untied, with and
without dropout, always clipped, and prints the largest relative difference of a step's loss from one worker's.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hopline.artifacts import read_manifest
from hopline.schema import EXAMPLES
from pipelines.config.config import Config

DROPOUT = {"drop_memory": 0.2, "drop_state": 0.2}
ADAMW = {"optimizer": "adamw", "learning_rate": 0.002, "weight_decay": 0.01}
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd, tied": ("output", {}),
    "sgd, untied, dropout": ("none", DROPOUT),
    "adamw, tied, dropout": ("output", {**ADAMW, **DROPOUT}),
    "adamw, untied": ("none", ADAMW),
}
WORKERS = (1, 2, 4)
FIRST_STEPS = 20


def losses(examples: Path, config: Config, tie: str, settings: dict[str, Any], workers: int) -> list[float]:
    """The loss of every step of one epoch."""
    tokens = read_manifest(examples, EXAMPLES).counts["train"]["tokens"]
    steps = tokens // (config.train.sequences * config.train.targets)
    train = {**config.train.to_dict(), **settings, "workers": workers, "max_steps": steps}
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "components.train", "--examples", str(examples),
            "--model-config", json.dumps({**config.model.to_dict(), "tie": tie}),
            "--train-config", json.dumps(train),
            "--output", f"{folder}/model", "--work-dir", f"{folder}/work",
        ]  # fmt: skip
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        lines = (Path(folder) / "model" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


def main() -> None:
    """Trains and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=Path, required=True, help="examples of a run of configs/tiny.toml")
    options = parser.parse_args()
    config = Config.load(Path("configs/tiny.toml"))
    print("| recipe | workers | first 20 steps | epoch |\n| --- | --- | --- | --- |")
    for name, (tie, settings) in RECIPES.items():
        curves = {workers: losses(options.examples, config, tie, settings, workers) for workers in WORKERS}
        for workers in WORKERS[1:]:
            pairs = zip(curves[workers], curves[1], strict=True)
            apart = [abs(other - one) / one for other, one in pairs]
            print(f"| {name} | {workers} | {max(apart[:FIRST_STEPS]):.1e} | {max(apart):.1e} |", flush=True)


if __name__ == "__main__":
    main()
