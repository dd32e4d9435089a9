"""What each part of a recipe is worth: trainings that take one part out each, of one or several lengths and seeds.

    hopline run --config configs/ptb.toml --set corpus.train=ptb.train.txt --set corpus.valid=ptb.valid.txt
    python -m benchmarks.ablation hopline-output/runs/ID --epochs 5 --output ablation
    python -m benchmarks.ablation hopline-output/runs/ID --epochs 2 3 5 10 20 --only whole --output ablation

Examples and recipe are those of the run.  Prints for each training the best perplexity on validation, of the weights or
of their average.  A training of `configs/ptb.toml` takes minutes an epoch on 2 cores; on a GPU many fit side by side
(--parallel).  Interrupted, the same command goes on: each training has a folder in --output, with checkpoints and log.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality_by_time import curve
from hopline.runtime.cpus import usable_cpus
from pipelines.config.config import Config

WHOLE = "whole"
# The sections' keys that take a part out.
PARTS: dict[str, dict[str, dict[str, Any]]] = {
    WHOLE: {},
    "the paper's linear map instead of two layers": {"model": {"state_map": "half_relu"}},
    "a learned question instead of words": {"model": {"query": "learned", "query_words": 0}},
    "one hop": {"model": {"hops": 1}},
    "slots of one word": {"model": {"slot_words": 1}},
    "20 words of memory": {"model": {"memory": 20}},
    "one head": {"model": {"heads": 1}},
    "no projections": {"model": {"projections": False}},
    "no temporal encodings": {"model": {"time": "none"}},
    "no layer norm": {"model": {"norm": False}},
    "no bias": {"model": {"bias": False}},
    "no words dropped": {"train": {"drop_words": 0.0}},
    "no embeddings dropped": {"train": {"drop_embeddings": 0.0}},
    "no reads dropped": {"train": {"drop_read": 0.0}},
    "no state dropped": {"train": {"drop_state": 0.0}},
    "masks of each position": {"train": {"drop_shared": False}},
    "no weight decay": {"train": {"weight_decay": 0.0}},
    "a constant learning rate": {"train": {"schedule": "constant"}},
    "no average": {"train": {"average": "none"}},
    "no clip": {"train": {"clip_norm": 0.0}},
}


@dataclass(frozen=True)
class Training:
    """One row of the table."""

    part: str
    epochs: int
    seed: int

    def folder(self, output: Path) -> Path:
        """Where its checkpoints and log are."""
        return output / "-".join([*self.part.replace("'", "").split(), f"{self.epochs}-epochs", f"seed-{self.seed}"])

    def command(self, run: Path, output: Path, threads: int) -> list[str]:
        """What trains it."""
        config = Config.load(run / "config.toml")
        changes = PARTS[self.part]
        model = {**config.model.to_dict(), **changes.get("model", {})}
        train = {**config.train.to_dict(), "minutes": 0, **changes.get("train", {})}
        train |= {"epochs": self.epochs, "seed": self.seed}
        folder = self.folder(output)
        command = [sys.executable, "-m", "components.train.worker", f"--examples={run / 'examples'}"]
        command += [f"--model-config={json.dumps(model)}", f"--train-config={json.dumps(train)}"]
        return [*command, f"--training-dir={folder}", f"--work-dir={folder / 'worker-0'}", f"--threads={threads}"]


def main() -> int:
    """Trains what is not trained yet and prints the table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--epochs", type=int, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--parallel", type=int, default=1, help="trainings side by side (1)")
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and logs")
    options = parser.parse_args()
    trainings = [Training(*row) for row in itertools.product(options.only, options.epochs, options.seeds)]
    threads = max(1, usable_cpus() // options.parallel)

    def train(training: Training) -> int:
        training.folder(options.output).mkdir(parents=True, exist_ok=True)
        command = training.command(options.run, options.output, threads)
        environment = {**os.environ, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        with (training.folder(options.output) / "out.txt").open("ab") as out:
            code = subprocess.run(command, env=environment, stdout=out, stderr=out, check=False).returncode
        print(f"{training.part}, {training.epochs} epochs, seed {training.seed}: code {code}", file=sys.stderr)
        return code

    with ThreadPoolExecutor(options.parallel) as pool:
        codes = list(pool.map(train, trainings))
    print("| | epochs | seed | perplexity on validation | at minute |\n| --- | --- | --- | --- | --- |")
    for training, code in zip(trainings, codes, strict=True):
        if code:
            print(f"| {training.part} | {training.epochs} | {training.seed} | failed, code {code} | |")
            continue
        minutes, perplexities = curve(training.folder(options.output) / "log.jsonl")
        best = perplexities.index(min(perplexities))
        row = f"{perplexities[best]:.1f} | {minutes[best]:.1f}"
        print(f"| {training.part} | {training.epochs} | {training.seed} | {row} |")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
