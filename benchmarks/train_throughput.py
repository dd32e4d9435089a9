"""Training throughput of the banded memory against the textbook form, side by side in one process.

    python -m benchmarks.train_throughput [--memory 100 --hops 6 --json]

Both do forward, backward, global clip and SGD update in float32, XLA-compiled.  The textbook form gathers M embedded
tokens for every target (B x M x E), as all public code for this model does; it is measured at several batch sizes, and
its best counts.  Rounds alternate, so that a busy machine slows both; the ratio is that of the medians.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from hopline.layers import masked_softmax
from hopline.metrics import window_nll
from hopline.model import MemoryNetwork
from hopline.schema import PAD

CLIP_NORM = 50 / 128
LEARNING_RATE = 1.28
GATHER_BATCHES = (128, 512)


def gathered_nll(model: MemoryNetwork, windows_BS: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihoods in the textbook form, one target a window (S = M + 1), on the same weights."""
    tokens_BM, targets_B = windows_BS[:, :-1], windows_BS[:, -1]
    hop = model.hop
    keys_BME = tf.gather(model.key_table_VF.value, tokens_BM) + hop.key_time_ME.value
    values_BME = tf.gather(model.value_table_VF.value, tokens_BM) + hop.value_time_ME.value
    visible_BM = tokens_BM != PAD
    state_BE = tf.fill([tf.shape(tokens_BM)[0], model.width], 0.1)
    for _ in range(model.hops):
        probs_BM = masked_softmax(tf.einsum("be,bme->bm", state_BE, keys_BME), visible_BM)
        mapped_BE = state_BE @ hop.state_map_EE.value + tf.einsum("bm,bme->be", probs_BM, values_BME)
        half = model.width // 2
        state_BE = tf.concat([mapped_BE[:, :half], tf.nn.relu(mapped_BE[:, half:])], axis=-1)
    logits_BV = tf.matmul(state_BE, model.logit_table_VF.value, transpose_b=True)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets_B, logits=logits_BV)


def training_step(
    model: MemoryNetwork, nll: Callable[[MemoryNetwork, tf.Tensor], tf.Tensor]
) -> Callable[..., tf.Tensor]:
    """One whole SGD step with the given form of the loss."""
    variables = [variable.value for variable in model.trainable_variables]

    @tf.function(jit_compile=True)
    def step(windows_BS: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(nll(model, windows_BS))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), CLIP_NORM)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(LEARNING_RATE * tf.convert_to_tensor(gradient))
        return loss

    return step


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Median targets per second of each form."""
    keras.utils.set_random_seed(1)
    model = MemoryNetwork(
        vocabulary_size=options.vocabulary, width=options.width, hops=options.hops, memory=options.memory
    )
    model.build((None, options.memory + options.targets - 1))
    random = np.random.Generator(np.random.Philox(1))

    def windows(count: int, targets: int) -> tf.Tensor:
        shape = (count, options.memory + targets)
        return tf.constant(random.integers(1, options.vocabulary, shape), tf.int32)

    banded, gathered = training_step(model, window_nll), training_step(model, gathered_nll)
    forms = {"banded": (banded, windows(options.sequences, options.targets), options.sequences * options.targets)}
    forms |= {f"gather_{size}": (gathered, windows(size, 1), size) for size in GATHER_BATCHES}
    rates: dict[str, list[float]] = {name: [] for name in forms}
    for step, batch, _ in forms.values():
        step(batch).numpy()  # compiles
    for done in range(options.rounds):
        for name, (step, batch, targets) in forms.items():
            started = time.perf_counter()
            step(batch).numpy()
            rates[name].append(targets / (time.perf_counter() - started))
        print(f"\rround {done + 1}/{options.rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"width": 150, "hops": 6, "memory": 100, "vocabulary": 10_001}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--sequences", type=int, default=16, help="of the banded form's batch")
    parser.add_argument("--targets", type=int, default=100, help="in each of those sequences")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    options = parser.parse_args()
    rates = measure(options)
    best_gather = max(rate for name, rate in rates.items() if name != "banded")
    for name, rate in rates.items():
        print(f"{name:12} {rate:10,.0f} targets/s")
    print(f"banded over the best gather: {rates['banded'] / best_gather:.2f}x")
    if options.json:
        print(json.dumps({**rates, "ratio": rates["banded"] / best_gather}))


if __name__ == "__main__":
    main()
