"""Question 2: a tied output softmax that can be loaded, and whether tying helps.

    python -m benchmarks.questions.tied_output

Saves and loads a model with the well-known transposed layer and one with `TiedSoftmax`; then trains language models of
as many parameters, tied and untied, at two sizes, and prints perplexity on held-out text (the mean of three seeds, with
half the range from the least to the greatest) and a sample of each.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from benchmarks.questions.text import Ids, as_ids, library_text
from hopline.model.tied_softmax import TiedSoftmax


@keras.saving.register_keras_serializable(package="hopline.questions")
class TransposedLayer(keras.layers.Layer):
    """The layer that many have copied: it multiplies with the first weight of another layer, transposed."""

    def __init__(self, tied_to: keras.layers.Layer | None = None, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tied_to = tied_to
        self.activation = keras.activations.get(activation)

    def call(self, units: Any) -> Any:
        """The activation of the product."""
        assert self.tied_to is not None, "tied_to is None"
        return self.activation(ops.matmul(units, ops.transpose(self.tied_to.weights[0])))

    def get_config(self) -> dict[str, Any]:
        """As posted: the activation, and nothing of the tie."""
        return {**super().get_config(), "activation": keras.activations.serialize(self.activation)}


@dataclasses.dataclass(frozen=True)
class Setting:
    """The sizes of a run."""

    words: int = 55_000
    vocabulary: int = 2000
    context: int = 4
    hidden: int = 64
    untied_width: int = 32
    epochs: int = 2
    seeds: int = 3

    @property
    def tied_width(self) -> int:
        """Of the table with which the tied model has as many parameters as the untied one."""
        untied = self.vocabulary * (self.untied_width + self.hidden) + self.context * self.untied_width * self.hidden
        return round(untied / (self.vocabulary + (self.context + 1) * self.hidden))


def outcome_of_loading(output: type[keras.layers.Layer]) -> str:
    """What comes of saving and loading a model whose output layer is `output`."""
    ids = keras.Input((None,), dtype="int32")
    words = keras.layers.Embedding(10, 4, name="words")
    model = keras.Model(ids, output(words, activation="softmax")(words(ids)))
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.keras"
        model.save(path)
        try:
            loaded = keras.saving.load_model(path)
        except Exception as error:
            return f"cannot be loaded: {type(error).__name__}"
    tokens = np.arange(10)[None]
    same = np.allclose(loaded(tokens), model(tokens), atol=1e-6)
    tables = sum(variable.shape == (10, 4) for variable in loaded.variables)
    return f"loads: {'equal' if same else 'different'} outputs, {tables} table"


def make_model(setting: Setting, *, tied: bool) -> keras.Model:
    """A feed-forward language model: the last words to the next."""
    width = setting.tied_width if tied else setting.untied_width
    ids = keras.Input((setting.context,), dtype="int32")
    words = keras.layers.Embedding(setting.vocabulary, width, name="words")
    units = keras.layers.Dense(setting.hidden, "tanh", use_bias=False)(keras.layers.Flatten()(words(ids)))
    if tied:
        return keras.Model(ids, TiedSoftmax(words, activation=None)(units))
    return keras.Model(ids, keras.layers.Dense(setting.vocabulary, use_bias=False)(units))


SETTINGS = (Setting(), Setting(words=360_000, vocabulary=5000, hidden=128, untied_width=64))


def train(setting: Setting, ids: Ids, seed: int, *, tied: bool) -> tuple[keras.Model, float]:
    """A trained model, and its perplexity on the last tenth of the text."""
    keras.utils.set_random_seed(seed)
    windows = np.lib.stride_tricks.sliding_window_view(ids, setting.context + 1)
    split = len(windows) * 9 // 10
    model = make_model(setting, tied=tied)
    model.compile(keras.optimizers.Adam(2e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(windows[:split, :-1], windows[:split, -1], batch_size=128, epochs=setting.epochs, verbose=0)
    loss = model.evaluate(windows[split:, :-1], windows[split:, -1], batch_size=512, verbose=0)
    return model, float(np.exp(loss))


def sample(model: keras.Model, start: Ids, known: list[str], length: int = 20) -> str:
    """Words drawn one after the other at temperature 0.7."""
    random = np.random.Generator(np.random.Philox(1))
    ids = list(start)
    for _ in range(length):
        logits = np.array(model(np.array(ids[-len(start) :])[None]))[0].astype(np.float64) / 0.7
        logits[0] = -np.inf  # the unknown word
        probabilities = np.exp(logits - logits.max())
        ids.append(int(random.choice(len(known), p=probabilities / probabilities.sum())))
    return " ".join(known[number] for number in ids)


def compare(setting: Setting) -> None:
    """Prints the table and the samples of one size, each row once its models are trained."""
    ids, known = as_ids(library_text(setting.words), setting.vocabulary)
    print(f"\n{setting.words:,} words, a vocabulary of {setting.vocabulary:,}, {setting.hidden} hidden units\n")
    print("| | width | parameters | held-out perplexity |\n| --- | --- | --- | --- |", flush=True)
    samples = []
    for tied in (False, True):
        models, found = zip(
            *(train(setting, ids, seed, tied=tied) for seed in range(1, setting.seeds + 1)), strict=True
        )
        name, width = ("tied", setting.tied_width) if tied else ("untied", setting.untied_width)
        perplexity = f"{np.mean(found):.1f} ± {np.ptp(found) / 2:.1f}"
        print(f"| {name} | {width} | {models[0].count_params():,} | {perplexity} |", flush=True)
        samples.append(f"{name}: {sample(models[0], ids[: setting.context], known)}")
    print("", *samples, sep="\n")


def main() -> None:
    """Prints both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=Setting.seeds)
    options = parser.parse_args()
    print(f"transposed layer: {outcome_of_loading(TransposedLayer)}")
    print(f"TiedSoftmax: {outcome_of_loading(TiedSoftmax)}", flush=True)
    for setting in SETTINGS:
        compare(dataclasses.replace(setting, seeds=options.seeds))


if __name__ == "__main__":
    main()
