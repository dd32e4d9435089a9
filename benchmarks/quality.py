"""What models are worth on a text: trains, scores, and writes the table of the README.

    make quality TRAIN=ptb.train.txt VALID=ptb.valid.txt
    python -m benchmarks.quality --train ptb.train.txt --valid ptb.valid.txt configs/ptb.toml configs/paper.toml

Each command is printed before it runs.  What is trained already is found in the cache of --output, and an interrupted
training goes on, so the same command may be given again.
"""

import argparse
import itertools
import json
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

_BASELINES = {"unigram": "word frequencies", "kneser_ney_2": "Kneser-Ney 2-gram", "kneser_ney_5": "Kneser-Ney 5-gram"}
_PAUSE = 300  # seconds between two records of a log


def main() -> None:
    """Trains and scores each configuration and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--train", type=Path, required=True, help="training text")
    parser.add_argument("--valid", type=Path, required=True, help="validation text, by which the best weights are kept")
    parser.add_argument("--test", type=Path, help="text to score; the validation text where it is left out")
    parser.add_argument("--cache", type=int, default=1000, help="words of the neural cache in the second row (1000)")
    parser.add_argument("--cache-weight", type=float, default=0.15, help="its share (0.15)")
    parser.add_argument("--cache-flatness", type=float, default=10.0, help="how much likeness counts (10.0)")
    parser.add_argument("--output", type=Path, default=Path("hopline-output"), help="of hopline run")
    parser.add_argument("configs", nargs="*", type=Path, default=[Path("configs/ptb.toml")])
    options = parser.parse_args()
    cache = [f"--cache={options.cache}", f"--cache-weight={options.cache_weight}"]
    cache += [f"--cache-flatness={options.cache_flatness}"]
    rows: list[tuple[str, ...]] = []
    baselines: dict[str, Any] = {}
    for config in options.configs:
        run = _train(config, options)
        baselines = json.loads((run / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))["baselines"]
        seed = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))["train"]["seed"]
        log = (run / "model" / "log.jsonl").read_text(encoding="utf-8").splitlines()
        minutes = f"{minutes_of([json.loads(line) for line in log]):.0f}"
        for name, how in ((str(config), []), (f"{config}, {' '.join(cache)}", cache)):
            scored = _score(run / "model", options.test or options.valid, how)
            row = (name, f"{scored['perplexity']:.2f}", f"{scored['tokens']:,}", f"{scored['parameters']:,}")
            rows.append((*row, str(seed), minutes))
    print(f"\n{options.test or options.valid}\n")
    print("| model | perplexity | tokens | parameters | seed | minutes of training |\n|---|---|---|---|---|---|")
    for key, name in _BASELINES.items():
        if key in baselines:
            print(f"| {name} (of the evaluation's split) | {baselines[key]['perplexity']:.2f} | | | | |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def _train(config: Path, options: argparse.Namespace) -> Path:
    """The folder of the run, which is the newest when it has ended."""
    command = ["hopline", "run", f"--config={config}", f"--output={options.output}"]
    files = {"train": options.train, "valid": options.valid} | ({"test": options.test} if options.test else {})
    command += [f"--set=corpus.{split}={path}" for split, path in files.items()]
    _say(command)
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", *command[1:]], check=False)
    runs = sorted((options.output / "runs").glob("*/evaluation/evaluation.json"))
    if not runs:
        sys.exit(done.returncode or 1)
    return runs[-1].parents[1]


def _score(model: Path, text: Path, how: list[str]) -> dict[str, Any]:
    command = ["hopline", "score", "--json", f"--registry={model}", *how, str(text)]
    _say(command)
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", *command[1:]], check=True, stdout=subprocess.PIPE)
    scored: dict[str, Any] = json.loads(done.stdout)
    return scored


def minutes_of(records: list[dict[str, Any]]) -> float:
    """Of training: the time between neighbouring records of a log, but for pauses where a run stopped and went on."""
    gaps = [after["time"] - before["time"] for before, after in itertools.pairwise(records)]
    return sum(gap for gap in gaps if gap < _PAUSE) / 60


def _say(command: list[str]) -> None:
    print("$ " + shlex.join(command), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
