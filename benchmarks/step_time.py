"""Time of one whole training step of one worker: batch, forward, backward, clip, update.

    python -m benchmarks.step_time --shape 16x8 --shape 32x4 --shape 128x1

Each shape is sequences x consecutive targets of a batch; rounds alternate between the shapes.  With `--form` one model
after the other takes its turn at each shape, the paper's and those with the options of a hop:

    python -m benchmarks.step_time --form paper --form ptb --form tiny --shape 8x64

The time of all cores is beside that of the clock: on a busy machine it says more.
"""

import argparse
import dataclasses
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks.cases import OurStep
from hopline.config.cost import useful_operations
from hopline.config.model import ModelConfig

_LEARNING = ModelConfig(
    width=256, hops=4, memory=64, tie="all", bias=True, heads=4, norm=True, state_map="mlp", query="words",
    query_words=3, projections=True, slot_words=3,
)  # fmt: skip
FORMS = {
    "paper": ModelConfig(),
    "ptb": _LEARNING,
    "tiny": dataclasses.replace(_LEARNING, width=192, hops=3, memory=48),
}


class Case:
    """A form and a batch shape, the step that trains on it, and how long each took."""

    def __init__(self, shape: str, form: str, model: ModelConfig, vocabulary: int) -> None:
        self.shape, self.form = shape, form
        self.milliseconds, self.core_milliseconds = list[float](), list[float]()
        self.operations = useful_operations(model, vocabulary)
        sequences, targets = map(int, shape.split("x"))
        self._step = OurStep(model, sequences, targets, vocabulary, threads=os.cpu_count() or 1)
        self.targets = self._step.targets
        self._step()  # compiles

    def run(self) -> None:
        """One step."""
        started, cores = time.perf_counter(), time.process_time()
        self._step()
        self.milliseconds.append(1000 * (time.perf_counter() - started))
        self.core_milliseconds.append(1000 * (time.process_time() - cores))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", help="sequences x targets, such as 16x8; may be repeated")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--vocabulary", type=int, default=10_001)
    parser.add_argument("--tie", default="output", help="of the paper's form")
    parser.add_argument("--form", action="append", choices=FORMS, help="may be repeated")
    options = parser.parse_args()
    forms = {**FORMS, "paper": ModelConfig(tie=options.tie)}
    cases = [
        Case(shape, form, forms[form], options.vocabulary)
        for form in options.form or ["paper"]
        for shape in options.shape or ["16x8"]
    ]
    for _ in range(options.rounds):
        for case in cases:
            case.run()
    print("| form | batch | MFLOP a target | ms | targets/s | core ms / 1,000 targets |\n" + "| --- " * 6 + "|")
    for case in cases:
        median, cores = statistics.median(case.milliseconds), statistics.median(case.core_milliseconds)
        print(
            f"| {case.form} | {case.shape} | {case.operations / 1e6:.1f} | {median:.1f} | "
            f"{1000 * case.targets / median:,.0f} | {1000 * cores / case.targets:.0f} |"
        )


if __name__ == "__main__":
    main()
