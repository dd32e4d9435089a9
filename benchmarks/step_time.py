"""Time of one whole training step of one worker: batch, forward, backward, clip, update.

    python -m benchmarks.step_time --shape 16x8 --shape 32x4 --shape 128x1

Each shape is sequences x consecutive targets of a batch; rounds alternate between the shapes.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks.cases import OurStep
from hopline.config.model import ModelConfig


class Case:
    """A batch shape, the step that trains on it, and how long each took."""

    def __init__(self, shape: str, model: ModelConfig, vocabulary: int) -> None:
        self.shape, self.milliseconds = shape, list[float]()
        sequences, targets = map(int, shape.split("x"))
        self._step = OurStep(model, sequences, targets, vocabulary, threads=os.cpu_count() or 1)
        self.targets = self._step.targets
        self._step()  # compiles

    def run(self) -> None:
        """One step."""
        started = time.perf_counter()
        self._step()
        self.milliseconds.append(1000 * (time.perf_counter() - started))


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
    for _ in range(options.rounds):
        for case in cases:
            case.run()
    print("| batch | ms | targets/s |\n| --- | --- | --- |")
    for case in cases:
        median = statistics.median(case.milliseconds)
        print(f"| {case.shape} | {median:.1f} | {1000 * case.targets / median:,.0f} |")


if __name__ == "__main__":
    main()
