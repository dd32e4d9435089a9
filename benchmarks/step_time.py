"""Time of one whole training step of one worker: batch, forward, backward, clip, update.

    python -m benchmarks.step_time --shape 16x8 --shape 32x4 --shape 128x1

Each shape is sequences x consecutive targets of a batch; rounds alternate between the shapes.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from components.train.batches import Batches
from components.train.step import TrainStep
from components.train.trainer import build_model
from hopline.config import ModelConfig, TrainConfig
from hopline.data import TokenStream

STREAM_LENGTH = 1_000_000


class Case:
    """A batch shape and the step that trains on it."""

    def __init__(self, shape: str, model_config: ModelConfig, vocabulary: int) -> None:
        sequences, targets = map(int, shape.split("x"))
        self.shape, self.targets, self.milliseconds = shape, sequences * targets, list[float]()
        self._config = TrainConfig(sequences=sequences, targets=targets)
        random = np.random.Generator(np.random.Philox(1))
        stream = TokenStream(random.integers(1, vocabulary, STREAM_LENGTH).astype(np.int32), "random")
        self._batches = Batches(stream, self._config, model_config.memory)
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        with strategy.scope():
            model = build_model(model_config, vocabulary, self._config)
        self._step, self._number = TrainStep(strategy, model, self._config), 0

    def run(self) -> None:
        """One step; the first, which compiles, is not counted."""
        started = time.perf_counter()
        self._step(
            lambda *_: self._batches.windows(self._number, 0, self._config.sequences),
            lambda *_: self._batches.mask_keys(self._number, 0, self._config.sequences),
            number=self._number + 1,
            learning_rate=self._config.learning_rate,
            stopping=False,
        )
        if self._number:
            self.milliseconds.append(1000 * (time.perf_counter() - started))
        self._number += 1


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", help="sequences x targets, such as 16x8; may be repeated")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--vocabulary", type=int, default=10_001)
    parser.add_argument("--tie", default="output")
    options = parser.parse_args()
    model_config = ModelConfig(tie=options.tie)
    cases = [Case(shape, model_config, options.vocabulary) for shape in options.shape or ["16x8"]]
    for _ in range(options.rounds + 1):
        for case in cases:
            case.run()
    print("| batch | ms | targets/s |\n| --- | --- | --- |")
    for case in cases:
        median = statistics.median(case.milliseconds)
        print(f"| {case.shape} | {median:.1f} | {1000 * case.targets / median:,.0f} |")


if __name__ == "__main__":
    main()
