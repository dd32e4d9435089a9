"""Question 1: why a memory network that converged stalls once T_A and T_C are added.

    python -m benchmarks.questions.temporal_encodings

The network is rebuilt as it was described, with five defects; each is repaired alone, and all but each, with and
without temporal encodings.  Prints a table in Markdown: loss in nats and accuracy on training examples, dropout off;
means of three seeds, and behind the loss half the range from the least to the greatest of the three.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from benchmarks.questions.text import Ids, as_ids, library_text, word_frequency_loss
from hopline.model.temporal import TIMES, sinusoids

DEFECTS = {
    "update": "mean loss, SGD 0.01, clipnorm = 50",
    "map": "H on the attention logits",
    "hops": "range(NUM_LAYERS - 1)",
    "relu": "ReLU before the softmax",
    "dropout": "dropout on memories and output",
}
ALL = frozenset(DEFECTS)
BATCH, STDDEV = 128, 0.05
_EVALUATED = 2048


@dataclasses.dataclass(frozen=True)
class Setting:
    """The sizes of a run."""

    examples: int = 35_000
    vocabulary: int = 1000
    memory: int = 20
    width: int = 32
    hops: int = 3
    steps: int = 400
    seeds: int = 3  # of the weights' start, of the examples drawn and of those shown


@keras.saving.register_keras_serializable(package="hopline.questions")
class AskedNetwork(keras.Model):
    """The memory network of the question: M words in, one distribution out.

    Args:
        setting: sizes.
        defects: of `DEFECTS`, those that it has.
        time_kind: T_A and T_C, one of `hopline.model.temporal.TIMES`.
    """

    def __init__(self, setting: Setting, defects: frozenset[str], time_kind: str) -> None:
        super().__init__()
        self.defects, self.hops = defects, setting.hops - ("hops" in defects)
        size, memory, width = setting.vocabulary, setting.memory, setting.width
        self.key_words, self.value_words = (
            keras.layers.Embedding(size, width, embeddings_initializer=_start()) for _ in "AC"
        )
        self.key_time_ME: Any = np.zeros((memory, width), np.float32)
        self.value_time_ME: Any = self.key_time_ME
        if time_kind == "learned":
            self.key_time_ME, self.value_time_ME = (
                self.add_weight(shape=(memory, width), initializer=_start(), name=name) for name in ("T_A", "T_C")
            )
        elif time_kind == "sinusoidal":  # as people add them: of amplitude 1, whatever the words' is
            self.key_time_ME = self.value_time_ME = sinusoids(memory, width).astype(np.float32)
        units = memory if "map" in defects else width
        self.map = keras.layers.Dense(units, use_bias=False, kernel_initializer=_start())
        activation = "relu" if "relu" in defects else None
        self.logits = keras.layers.Dense(size, activation, use_bias=False, kernel_initializer=_start())
        self.drop_memory, self.drop_output = (keras.layers.Dropout(0.2 * ("dropout" in defects)) for _ in range(2))

    def call(self, memory_BM: Any, training: bool = False) -> Any:
        """The logits of the next word."""
        keys_BME = self.drop_memory(self.key_words(memory_BM) + self.key_time_ME, training=training)
        values_BME = self.drop_memory(self.value_words(memory_BM) + self.value_time_ME, training=training)
        state_BE = 0.1 * ops.ones_like(keys_BME[:, 0])
        for _ in range(self.hops):
            scores_BM = ops.einsum("be,bme->bm", state_BE, keys_BME)
            if "map" in self.defects:
                scores_BM, mapped_BE = self.map(scores_BM), state_BE
            else:
                mapped_BE = self.map(state_BE)
            state_BE = mapped_BE + ops.einsum("bm,bme->be", ops.softmax(scores_BM), values_BME)
        return self.logits(self.drop_output(state_BE, training=training))


def run(setting: Setting, defects: frozenset[str], time_kind: str, ids: Ids, seed: int = 1) -> tuple[float, float]:
    """Trains one network; its loss in nats and its accuracy on examples that it was trained on."""
    keras.utils.set_random_seed(seed)
    windows = np.lib.stride_tricks.sliding_window_view(ids, setting.memory + 1)[: setting.examples]
    memories, words = windows[:, :-1], windows[:, -1]
    model = AskedNetwork(setting, defects, time_kind)
    optimizer = (
        keras.optimizers.SGD(0.01, clipnorm=50.0)
        if "update" in defects
        else keras.optimizers.SGD(0.01 * BATCH, global_clipnorm=50.0 / BATCH)  # of the mean, what 0.01 is of the sum
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, metrics=["accuracy"])
    random = np.random.Generator(np.random.Philox(seed))
    drawn = random.integers(len(words), size=setting.steps * BATCH)
    model.fit(memories[drawn], words[drawn], batch_size=BATCH, shuffle=False, verbose=0)
    shown = random.choice(len(words), min(_EVALUATED, len(words)), replace=False)
    found, accuracy = model.evaluate(memories[shown], words[shown], batch_size=512, verbose=0)
    return float(found), float(accuracy)


def cell(setting: Setting, defects: frozenset[str], time_kind: str, ids: Ids) -> str:
    """The mean of all seeds: the loss, with half the range from the least to the greatest, and the accuracy."""
    found = np.array([run(setting, defects, time_kind, ids, seed) for seed in range(1, setting.seeds + 1)])
    loss, accuracy = found.mean(axis=0)
    return f"{loss:.2f} ± {np.ptp(found[:, 0]) / 2:.2f}, {accuracy:.0%}"


def variants() -> Iterator[tuple[str, frozenset[str]]]:
    """The rows of the table: a name, and the defects of that row."""
    yield "as described", ALL
    yield "all repaired", frozenset()
    for defect in DEFECTS:
        yield f"repaired: {defect}", ALL - {defect}
        yield f"all repaired but: {defect}", frozenset({defect})


def table(setting: Setting, times: Sequence[str] = TIMES) -> Iterator[str]:
    """The lines of the table, as they are found; the last two rows have ten times the data."""
    ids, _ = as_ids(library_text(setting.examples + setting.memory), setting.vocabulary)
    yield f"Word frequencies alone: {word_frequency_loss(ids, setting.vocabulary):.2f} nats."
    yield ""
    yield f"| {setting.steps:,} steps | " + " | ".join({"none": "no T"}.get(kind, f"{kind} T") for kind in times) + " |"
    yield "| --- |" + " --- |" * len(times)

    def row(name: str, defects: frozenset[str], sizes: Setting, text: Ids) -> str:
        return f"| {name} | " + " | ".join(cell(sizes, defects, kind, text) for kind in times) + " |"

    for name, defects in variants():
        yield row(name, defects, setting, ids)
    tenfold = dataclasses.replace(setting, examples=10 * setting.examples)
    many, _ = as_ids(library_text(tenfold.examples + setting.memory), setting.vocabulary)
    for name, defects in (("as described", ALL), ("all repaired", frozenset[str]())):
        yield row(f"{name}, ten times the data", defects, tenfold, many)


def _start() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=STDDEV)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=Setting.steps)
    parser.add_argument("--width", type=int, default=Setting.width)
    parser.add_argument("--seeds", type=int, default=Setting.seeds)
    options = parser.parse_args()
    started = time.monotonic()
    for line in table(Setting(steps=options.steps, width=options.width, seeds=options.seeds)):
        print(line, flush=True)
    print(f"\n{time.monotonic() - started:.0f} seconds")


if __name__ == "__main__":
    main()
