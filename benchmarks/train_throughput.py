"""Training throughput side by side in one process: the textbook form, ours, and the machine's own limit.

    python -m benchmarks.train_throughput [--rounds 9] [--json]

For each of two model sizes (d = 150, V = 10,000 words and the padding):

    gather    the textbook form, XLA-compiled, at 128, 512 and 3,200 targets a batch; its best counts
    ours      the trainer's whole step: batch, forward, backward, clip, update; float32 and bfloat16
              at the first size also the forms of configs/ptb.toml and configs/tiny.toml, by their own operations
    ceiling   the best matrix product among 2048 x 2048 x 2048 and the model's own, TensorFlow's and XLA's

Rounds alternate between all of them, so that a busy machine slows all alike; medians are compared.  The share of the
ceiling counts useful operations alone (`hopline.config.cost`).  With --json the last line is one object.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from benchmarks.cases import GatherStep, OurStep, Product
from hopline.config.cost import useful_operations
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from pipelines.config.config import Config

VOCABULARY = 10_001
GATHER_TARGETS = (128, 512, 3_200)
SIZES = {  # name: shape of the model, and our batch as sequences x targets
    "m100_k6": (ModelConfig(memory=100, hops=6), (100, 64)),
    "m200_k7": (ModelConfig(memory=200, hops=7), (64, 100)),
}
CONFIGS = Path(__file__).parents[1] / "configs"
RECOMMENDED = ("ptb", "tiny")  # of these, by their own operations
DTYPES = {"float32": tf.float32, "bfloat16": tf.bfloat16}

Case = OurStep | GatherStep | Product


def products(model: ModelConfig, dtype: tf.DType) -> list[Product]:
    """The candidates for the ceiling."""
    rows, width = 3_200, model.width
    shapes = [
        (2048, 2048, 2048),
        (rows, width, VOCABULARY),
        (rows, VOCABULARY, width),
        (width, rows, VOCABULARY),
        (rows, width, model.memory),
        (rows, width, width),
    ]
    return [Product(*shape, dtype, compiled=compiled) for shape in shapes for compiled in (False, True)]


def measured(cases: dict[str, Case], rounds: int, report: Callable[[str], None]) -> dict[str, float]:
    """Median seconds of each case over alternating rounds, after one that compiles."""
    for name, case in cases.items():
        report(f"compiling {name}")
        case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        report(f"round {number + 1}/{rounds}")
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            seconds[name].append(time.perf_counter() - started)
    report("")
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure(size: str, rounds: int, gather_targets: tuple[int, ...], report: Callable[[str], None]) -> dict[str, float]:
    """Rates of all that is compared at one model size, printed as a table; the values of --json."""
    model, (sequences, targets) = SIZES[size]
    operations = useful_operations(model, VOCABULARY)
    cases: dict[str, Case] = {
        f"gather, batch {count}": GatherStep(model, count, VOCABULARY) for count in gather_targets
    }
    recipe = TrainConfig(sequences=sequences, targets=targets)
    ours = {f"ours, {name}": OurStep(model, dataclasses.replace(recipe, precision=name), VOCABULARY) for name in DTYPES}
    cases |= ours
    costs = dict.fromkeys(cases, operations)
    if size == "m100_k6":
        for name in RECOMMENDED:
            config = Config.load(CONFIGS / f"{name}.toml")
            case = f"ours, configs/{name}.toml, {config.train.precision}"
            cases[case] = OurStep(config.model, config.train, VOCABULARY)
            costs[case] = useful_operations(config.model, VOCABULARY)
    limits = {
        f"{name} {index}": product
        for name, dtype in DTYPES.items()
        for index, product in enumerate(products(model, dtype))
    }
    seconds = measured(cases | limits, rounds, report)
    ceilings = {
        name: max(product.operations / seconds[key] for key, product in limits.items() if key.startswith(name))
        for name in DTYPES
    }
    print(f"\n{size}: {operations / 1e6:.2f} MFLOP a target, our batch {sequences} x {targets}")
    print("| what | targets/s | GFLOP/s | of the ceiling |\n| --- | --- | --- | --- |")
    rates = {name: case.targets / seconds[name] for name, case in cases.items() if not isinstance(case, Product)}
    for name, rate in rates.items():
        ceiling = ceilings["bfloat16" if "bfloat16" in name else "float32"]
        done = rate * costs[name]
        print(f"| {name} | {rate:,.0f} | {done / 1e9:,.0f} | {done / ceiling:.1%} |")
    for name, ceiling in ceilings.items():
        print(f"| ceiling, {name} | | {ceiling / 1e9:,.0f} | |")
    rate = rates["ours, float32"]
    ratio = rate / max(rate for name, rate in rates.items() if name.startswith("gather"))
    waited = ours["ours, float32"].data_seconds / (rounds + 1) / seconds["ours, float32"]
    print(f"ours over the best gather: {ratio:.2f}x; waiting for data: {waited:.2%} of the time")
    return {f"ratio_{size}": ratio, f"ceiling_share_{size}": rate * operations / ceilings["float32"], "wait": waited}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()

    def report(text: str) -> None:
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    found: dict[str, float] = {}
    for size in SIZES:
        result = measure(size, options.rounds, GATHER_TARGETS, report)
        waited = max(found.pop("data_wait_share", 0.0), result.pop("wait"))
        found |= {**result, "data_wait_share": waited}
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
