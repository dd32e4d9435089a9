"""The trained model as files: `.keras` weights, and a SavedModel that takes raw text.

The SavedModel needs nothing of ours at serving: TensorFlow alone loads it, and the transform graph that tokenised the
training text travels inside it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.train.report.signatures import Signatures
from hopline.model.network import MemoryNetwork
from hopline.schema import INPUT_EXAMPLE_FILE, MODEL_FILE, RESERVED_WORDS, SAVED_MODEL_FOLDER, VOCABULARY_FILE
from hopline.store import folders

_EXAMPLE_WORDS = 6


def export(model: MemoryNetwork, transform: Path, targets: int, folder: Path) -> None:
    """Writes `model.keras`, `saved_model/` and `input_example.json` into `folder`, see `Signatures`."""
    model.save(folder / MODEL_FILE)
    served = Signatures(model, transform, targets)
    with _without_gradients(model):
        tf.saved_model.save(served, str(folder / SAVED_MODEL_FOLDER), signatures=served.signatures(model))
    words = (transform.parent / VOCABULARY_FILE).read_text(encoding="utf-8").split("\n")
    folders.write_json(folder / INPUT_EXAMPLE_FILE, _input_example(words[len(RESERVED_WORDS) :]))


@contextlib.contextmanager
def _without_gradients(model: MemoryNetwork) -> Iterator[None]:
    """Has functions traced meanwhile compute forwards alone: they are saved, and loaded, in half the time."""
    model.hop.trainable_form = False
    try:
        yield
    finally:
        model.hop.trainable_form = True


def _input_example(words: list[str]) -> dict[str, Any]:
    """For each signature the body of a `:predict` request, as TensorFlow Serving takes it, in the model's own words."""
    text = " ".join(words[:_EXAMPLE_WORDS])
    inputs: dict[str, dict[str, Any]] = {
        "score": {"text": [f"{text}\n"]},
        "next_words": {"text": [text], "k": 5},
        "generate": {
            "text": [text], "tokens": 20, "temperature": 0.8, "top_k": 50, "top_p": 1.0, "seed": 1, "stop": ["\n"],
            "unknown": False,
        },
        "nearest": {"word": words[0], "k": 5},
    }  # fmt: skip
    return {name: {"signature_name": name, "inputs": values} for name, values in inputs.items()}
