"""What scoring adds to a process's memory beside what a training step adds; each case in a process of its own.

    python -m benchmarks.scoring_memory
    python -m benchmarks.scoring_memory --whole     # also the long document with the large vocabulary: half an hour

A vocabulary of 100,000 words and a document of 600,000 tokens together take long to score, so by default each is
measured with a small one of the other.  "adds" is the peak of resident memory above that before the first step or call;
a step's or a call's compilation is in it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from benchmarks.cases import OurStep
from components.evaluate.score import score_text
from components.train.report.export import export
from components.train.state.weights import build_model
from hopline import schema
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.scoring import SCORING_SEQUENCES, score_stream
from hopline.model.streams import TokenStream

MODEL = ModelConfig(width=150, hops=2, memory=100)
TARGETS = 100
LARGE, SMALL = 100_001, 1_001  # vocabularies
LONG, SHORT = 600_000, 6_400  # tokens
_MIB = 2**20


class Transform(tf.Module):
    """The transform graph's contract for words between blanks."""

    def __init__(self, words: list[str]) -> None:
        super().__init__()
        ids = tf.range(len(schema.RESERVED_WORDS), len(schema.RESERVED_WORDS) + len(words), dtype=tf.int64)
        keys = tf.concat([words, [schema.RESERVED_WORDS[schema.EOS]]], 0)
        values = tf.concat([ids, tf.constant([schema.EOS], tf.int64)], 0)
        entries = tf.lookup.KeyValueTensorInitializer(keys, values)
        self.table = tf.lookup.StaticHashTable(entries, schema.UNKNOWN)

    @tf.function(input_signature=[{"text": tf.TensorSpec([None], tf.string)}])
    def transform_fn(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.RaggedTensor]:
        """Tokens and words of texts."""
        words = tf.strings.split(tf.strings.regex_replace(inputs["text"], "\n", " <eos> "))
        return {"tokens": words.with_flat_values(self.table.lookup(words.flat_values)), "words": words}


def _resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _export(folder: Path, vocabulary: int) -> None:
    words = [f"w{number}" for number in range(vocabulary - len(schema.RESERVED_WORDS))]
    folder.mkdir()
    (folder / schema.VOCABULARY_FILE).write_text("\n".join([*schema.RESERVED_WORDS, *words]) + "\n", encoding="utf-8")
    tf.saved_model.save(Transform(words), str(folder / schema.TRANSFORM_FOLDER))
    model = build_model(MODEL, vocabulary, TrainConfig(targets=TARGETS))
    export(model, folder / schema.TRANSFORM_FOLDER, TARGETS, folder)


def _measure(case: str, vocabulary: int, tokens: int, folder: Path) -> int:
    """Bytes that the case adds."""
    random = np.random.default_rng(1)
    ids = random.integers(len(schema.RESERVED_WORDS), vocabulary, tokens).astype(np.int32)
    if case == "train":
        step = OurStep(MODEL, TrainConfig(sequences=SCORING_SEQUENCES, targets=TARGETS), vocabulary)
        before = _resident()
        for _ in range(max(2, tokens // (SCORING_SEQUENCES * TARGETS))):
            step()
    elif case == "validate":
        model = build_model(MODEL, vocabulary, TrainConfig(targets=TARGETS))
        before = _resident()
        score_stream(model, TokenStream(ids, "random"), TARGETS)
    else:
        text = "".join(
            f"w{number - 3}{chr(10) if place % 20 == 0 else ' '}" for place, number in enumerate(ids.tolist())
        )
        saved = str(folder / schema.SAVED_MODEL_FOLDER)
        held = tf.saved_model.load(saved)  # what loading takes is the export's size, not scoring's
        before = _resident()
        score_text(Path(saved), [text], lambda done: None)
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def _run(case: str, vocabulary: int, tokens: int, folder: Path) -> dict[str, int]:
    """The case in a process of its own: bytes it adds, and milliseconds of all cores."""
    command = [sys.executable, "-m", "benchmarks.scoring_memory", "--case", case, "--folder", str(folder)]
    command += ["--vocabulary", str(vocabulary), "--tokens", str(tokens)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true", help="the long document with the large vocabulary too")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    for name in ("vocabulary", "tokens"):
        parser.add_argument(f"--{name}", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case == "export":
        _export(options.folder, options.vocabulary)
        print("{}")
        return
    if options.case:
        added = _measure(options.case, options.vocabulary, options.tokens, options.folder)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"adds": added, "milliseconds": round(1000 * (used.ru_utime + used.ru_stime))}))
        return
    rows = [("train", LARGE, SHORT), ("validate", LARGE, SHORT), ("evaluate", LARGE, SHORT)]
    rows += [("evaluate", SMALL, SHORT), ("evaluate", SMALL, LONG)]
    rows += [("evaluate", LARGE, LONG)] if options.whole else []
    print("| | vocabulary | tokens | adds MiB | seconds of all cores |\n| --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for case, vocabulary, tokens in rows:
            place = Path(folder, str(vocabulary))
            if case == "evaluate" and not place.exists():
                _run("export", vocabulary, 0, place)
            found = _run(case, vocabulary, tokens, place)
            seconds = found["milliseconds"] / 1000
            print(
                f"| {case} | {vocabulary:,} | {tokens:,} | {found['adds'] / _MIB:,.0f} | {seconds:,.0f} |", flush=True
            )


if __name__ == "__main__":
    main()
