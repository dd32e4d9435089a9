"""The training step on a GPU: float32 against mixed bfloat16, and both against what the device cannot go below.

    python -m benchmarks.gpu_step [--sequences 128 --targets 100] [--json]

Tokens are drawn by Zipf's law.  Prints milliseconds a step, targets per second, how far the loss fell over the first
steps, the largest relative difference of a bfloat16 loss from the float32 one meanwhile, and two floors: the useful
operations at the rate of the device's best product, and the bytes that a step has to move at the rate of a copy.  Then
the same of the whole recipe of `configs/ptb.toml` in its precision.  Ends with code 2 where TensorFlow sees no GPU.
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

from benchmarks.cases import OurStep, Product
from hopline.config.cost import useful_operations
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.runtime.errors import ExitCode
from pipelines.config.config import Config

VOCABULARY = 10_001
DTYPES = {"float32": tf.float32, "bfloat16": tf.bfloat16}
RECOMMENDED = Path(__file__).parents[1] / "configs" / "ptb.toml"
_COPIED = 1 << 30  # bytes of the tensor whose copy gives the bandwidth


def seconds_of(act: Callable[[], object], rounds: int) -> float:
    """Median seconds of `act` and of all that it leaves to the device."""
    act()
    seconds = []
    for _ in range(rounds):
        tf.test.experimental.sync_devices()
        started = time.perf_counter()
        act()
        tf.test.experimental.sync_devices()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def bandwidth(rounds: int) -> float:
    """Bytes a second that a copy reads and writes."""
    source = tf.zeros([_COPIED // 4])
    return 2 * _COPIED / seconds_of(tf.function(lambda: source + 1.0), rounds)


def product_rate(dtype: tf.DType, rounds: int) -> float:
    """Operations a second of the best of a few products."""
    products = [
        Product(size, inner, size, dtype, compiled=False) for size, inner in ((8192, 8192), (4096, 4096), (8192, 160))
    ]
    return max(product.operations / seconds_of(product, rounds) for product in products)


def least_bytes(parameters: int, targets: int, bytes_a_number: int) -> int:
    """What a step moves at the least.

    Weights are read forward and backward, gradients written, read for the norm and read for the update, weights read
    and written there: 7 times 4 bytes a parameter.  Logits are written and read, probabilities written and read twice.
    """
    return 7 * 4 * parameters + targets * VOCABULARY * (2 * 4 + 4 + 2 * bytes_a_number)


def main() -> int:
    """Measures and prints; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=128)
    parser.add_argument("--targets", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--losses", type=int, default=100, help="steps whose losses are compared")
    parser.add_argument("--device", default="/gpu:0", help="/cpu:0 tries the script where there is no GPU")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    if "gpu" in options.device and not tf.config.list_physical_devices("GPU"):
        print(
            "error: TensorFlow sees no GPU\nremedy: run where there is one, with tensorflow[and-cuda]", file=sys.stderr
        )
        return ExitCode.USER
    recipe = TrainConfig(sequences=options.sequences, targets=options.targets, optimizer="adamw", learning_rate=1e-3)
    cases = {name: (ModelConfig(tie="output"), dataclasses.replace(recipe, precision=name)) for name in DTYPES}
    recommended = Config.load(RECOMMENDED)
    cases[f"configs/{RECOMMENDED.name}, {recommended.train.precision}"] = recommended.model, recommended.train
    found: dict[str, dict[str, float]] = {}
    losses: dict[str, list[float]] = {}
    copied = bandwidth(options.rounds)
    for name, (model, config) in cases.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        step = OurStep(model, config, VOCABULARY, device=options.device)
        losses[name] = [step() for _ in range(options.losses)]
        seconds, dtype = seconds_of(step, options.rounds), DTYPES[config.precision]
        operations = step.targets * useful_operations(model, VOCABULARY)
        found[name] = {
            "milliseconds": 1000 * seconds,
            "targets_per_second": step.targets / seconds,
            "arithmetic_floor_ms": 1000 * operations / product_rate(dtype, 5),
            "memory_floor_ms": 1000 * least_bytes(step.parameters, step.targets, dtype.size) / copied,
            "first_loss": losses[name][0],
            "last_loss": losses[name][-1],
        }
    pairs = zip(losses["bfloat16"], losses["float32"], strict=True)
    apart = max(abs(low - full) / full for low, full in pairs)
    print("| | ms a step | targets/s | arithmetic floor, ms | memory floor, ms | first loss | last loss |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(f"{value:,.2f}" for value in row.values()) + " |")
    print(f"largest relative difference of bfloat16's loss from float32's in {options.losses} steps: {apart:.2%}")
    if options.json:
        print(json.dumps({**found, "loss_difference": apart}))
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
