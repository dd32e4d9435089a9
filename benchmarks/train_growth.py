"""How the trainer's cost grows with the batch, the memory and the vocabulary; each case in a process of its own.

    python -m benchmarks.train_growth

Prints targets per second, milliseconds a step and the peak of resident memory.  Where the vocabulary grows, the loss
with the logits of the whole batch at once is measured beside the chunked one.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks.cases import OurStep
from components.train.loop import output_layer
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig

TARGETS = 50
BATCHES = (16, 32, 64, 128, 256)  # sequences
MEMORIES = (100, 200, 400, 1000)
VOCABULARIES = (10_001, 20_001, 50_001)


def case(options: argparse.Namespace) -> None:
    """Measures one case and prints it as JSON."""
    if options.whole:
        output_layer.NUMBERS_AT_ONCE = sys.maxsize
    recipe = TrainConfig(sequences=options.sequences, targets=TARGETS)
    step = OurStep(ModelConfig(memory=options.memory), recipe, options.vocabulary)
    step()  # compiles
    seconds = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": statistics.median(seconds), "peak": peak}))


def row(
    label: str, rounds: int, *, sequences: int = 64, memory: int = 100, vocabulary: int = 10_001, **flags: bool
) -> None:
    """Runs a case in its own process and prints its line of the table."""
    command = [sys.executable, "-m", "benchmarks.train_growth", "--case", "--rounds", str(rounds)]
    command += ["--sequences", str(sequences), "--memory", str(memory), "--vocabulary", str(vocabulary)]
    command += [f"--{name}" for name, on in flags.items() if on]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    rate = sequences * TARGETS / found["seconds"]
    print(f"| {label} | {1000 * found['seconds']:,.0f} | {rate:,.0f} | {found['peak'] / 2**30:.2f} |", flush=True)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", action="store_true", help=argparse.SUPPRESS)
    for name in ("sequences", "memory", "vocabulary"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--whole", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        case(options)
        return
    print("| d = 150, K = 6 | ms a step | targets/s | peak GiB |\n| --- | --- | --- | --- |")
    for sequences in BATCHES:
        row(f"{sequences * TARGETS:,} targets a batch", options.rounds, sequences=sequences)
    for memory in MEMORIES:
        row(f"memory {memory:,}", options.rounds, memory=memory)
    for vocabulary in VOCABULARIES:
        row(f"vocabulary {vocabulary - 1:,}", options.rounds, vocabulary=vocabulary)
        row(f"vocabulary {vocabulary - 1:,}, not in chunks", options.rounds, vocabulary=vocabulary, whole=True)


if __name__ == "__main__":
    main()
