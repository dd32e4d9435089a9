"""A network trained on much and on little text, from random tables and from word vectors in a file (question 5).

What is trained is hopline's network by hopline's step, and what it starts from is what `model.pretrained` gives it.
"""

import dataclasses
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from benchmarks.questions.skip_gram import Table
from benchmarks.questions.text import Ids
from components.train.loop.batches import Batches
from components.train.loop.schedule import learning_rate
from components.train.loop.step import TrainStep, lane_count
from components.train.state import checkpoint
from components.train.state.checkpoint import Arrays
from components.train.state.pretrained import matching_vectors, save_vectors
from components.train.state.weights import arrays, build_model, set_weights
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.scoring import scoring_windows, window_nll
from hopline.model.streams import TokenStream
from hopline.model.vectors import KEY
from hopline.runtime.cpus import usable_cpus
from hopline.schema import PAD, RESERVED_WORDS, UNKNOWN
from hopline.store.sources import locate

MODEL = ModelConfig(
    width=64, hops=2, memory=24, heads=4, norm=True, state_map="mlp", query="words", query_words=3, slot_words=2,
    tie="all", projections=True, bias=True,
)  # fmt: skip
RECIPE = TrainConfig(
    sequences=8, targets=64, sampling="shuffled", optimizer="adamw", adam_beta_2=0.99, schedule="cosine",
    learning_rate=5e-3, min_learning_rate=2.5e-4, warmup_steps=20, clip_norm=1.0, drop_embeddings=0.2, drop_read=0.15,
    drop_state=0.3, drop_shared=True,
)  # fmt: skip
PASSAGE = 256  # words
_VALIDATIONS = 8  # of a training, whatever its length


@dataclasses.dataclass(frozen=True)
class Texts:
    """One text as ids, cut for training at any share, and what is held out of it.

    Attributes:
        known: the words by id, the most frequent ones of the whole training text behind the reserved ones.
        passages: of the training text, in random order: the first of them are a small text of the same kind.
        valid: passages by which the best weights are kept, of every twentieth document.
        test: passages of another twentieth.
    """

    known: list[str]
    passages: list[Ids]
    valid: list[Ids]
    test: list[Ids]

    def share(self, part: float) -> list[Ids]:
        """The first passages, `part` of all."""
        return self.passages[: max(1, round(part * len(self.passages)))]


def make_texts(documents: dict[str, list[str]], vocabulary: int, words: int, held_out: int) -> Texts:
    """Cuts documents, of which a tenth is held out: `words` for training, `held_out` each for validation and test."""
    parts: dict[str, list[list[str]]] = {"train": [], "valid": [], "test": []}
    for number, document in enumerate(documents.values()):
        part = {9: "valid", 19: "test"}.get(number % 20, "train")
        parts[part] += [document[first : first + PASSAGE] for first in range(0, len(document), PASSAGE)]
    random = np.random.Generator(np.random.Philox(1))
    for part, passages in parts.items():
        count = max(1, (words if part == "train" else held_out) // PASSAGE)
        parts[part] = [passages[number] for number in random.permutation(len(passages))[:count]]
    counted = Counter(word for passage in parts["train"] for word in passage)
    known = [*RESERVED_WORDS, *(word for word, _ in counted.most_common(vocabulary - len(RESERVED_WORDS)))]
    index = {word: number for number, word in enumerate(known)}
    ids = {
        part: [np.array([index.get(word, UNKNOWN) for word in passage], np.int32) for passage in passages]
        for part, passages in parts.items()
    }
    return Texts(known, ids["train"], ids["valid"], ids["test"])


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of a training: nats of each token of the test text by the weights that were best on validation; their table."""

    nll: npt.NDArray[np.float32]
    table: Table


class Learner:
    """Trains one network again and again; what was compiled once serves all trainings.

    Args:
        texts: for vocabulary, validation and test.
        model: the network's shape; the vectors are as wide as its tables.
        recipe: how it is trained, but for what is given at each training.
    """

    def __init__(self, texts: Texts, model: ModelConfig = MODEL, recipe: TrainConfig = RECIPE) -> None:
        self._texts, self._model_config, self._recipe = texts, model, recipe
        self._strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        with self._strategy.scope():
            self._network = build_model(model, len(texts.known), recipe)
        self._steps: dict[int, TrainStep] = {}
        self._nll = tf.function(window_nll, jit_compile=True)
        self._valid, self._test = stream_of(texts.valid), stream_of(texts.test)

    @property
    def parameters(self) -> int:
        """Of the network."""
        return int(self._network.count_params())

    def train(
        self, passages: list[Ids], vectors: Path | None, *, epochs: int, freeze_epochs: int = 0, seed: int = 1
    ) -> Outcome:
        """Trains the network from its start; see `TrainConfig` for the numbers."""
        config = dataclasses.replace(self._recipe, epochs=epochs, freeze_epochs=freeze_epochs, seed=seed)
        batches = Batches(stream_of(passages), config, self._model_config.memory)
        steps = config.most_steps(batches.steps_per_epoch)
        set_weights(self._network, self._start(vectors, config))
        step = self._step(config, batches.steps_per_epoch)
        checked = {round(part * steps / _VALIDATIONS) for part in range(1, _VALIDATIONS + 1)}
        best, best_loss = arrays("model", self._network.variables), np.inf
        for done in range(steps):
            rate = learning_rate(config, config.learning_rate, done, steps)
            windows, keys = (make(done, 0, config.sequences) for make in (batches.windows, batches.mask_keys))
            step(lambda *_, w=windows: w, lambda *_, k=keys: k, number=done + 1, learning_rate=rate, stopping=False)
            if (done + 1) in checked:
                loss = float(self._score(self._valid).mean())
                if loss < best_loss:
                    checked = {round(part * steps / _VALIDATIONS) for part in range(1, _VALIDATIONS + 1)}
        best, best_loss = arrays("model", self._network.variables), loss
        set_weights(self._network, best)
        return Outcome(self._score(self._test), np.array(self._network.key_table_VF))

    def _start(self, vectors: Path | None, config: TrainConfig) -> Arrays:
        """The weights at the start, by the functions of the train step."""
        if vectors is None:
            return arrays("model", build_model(self._model_config, len(self._texts.known), config).variables)
        with tempfile.TemporaryDirectory() as scratch:
            vocabulary = Path(scratch, "vocabulary.txt")
            vocabulary.write_text("\n".join(self._texts.known) + "\n", encoding="utf-8")
            given = matching_vectors(locate(KEY, str(vectors)), vocabulary, self._model_config.rows)
            save_vectors(given, self._model_config, len(self._texts.known), config, Path(scratch))
            first = checkpoint.load_newest(Path(scratch) / checkpoint.FOLDER)
        assert first
        return first.current

    def _step(self, config: TrainConfig, steps_per_epoch: int) -> TrainStep:
        frozen = config.freeze_epochs * steps_per_epoch
        if frozen not in self._steps:
            lanes = lane_count(config.sequences, min(2, usable_cpus()))
            self._steps[frozen] = TrainStep(self._strategy, self._network, config, lanes, steps_per_epoch)
        for slot in self._steps[frozen].slots:
            slot.assign(tf.zeros_like(slot))
        return self._steps[frozen]

    def _score(self, stream: TokenStream) -> npt.NDArray[np.float32]:
        memory, parts = self._model_config.memory, []
        for windows in scoring_windows(stream, memory, self._recipe.targets):
            real = windows[:, memory:] != PAD
            parts.append(np.array(self._nll(self._network, windows))[real])
        return np.concatenate(parts)


def stream_of(passages: list[Ids]) -> TokenStream:
    """Each passage as a document."""
    return TokenStream(np.concatenate([np.append(np.int32(PAD), passage) for passage in passages]), "text")
