"""Training that starts with word vectors: those of the vocabulary's words become rows of the tables that embed words.

As a champion's weights (`components.train.state.start`) they reach workers as the checkpoint of step 0.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.train.state.start import save_first
from hopline.config.model import ModelConfig
from hopline.config.section import require
from hopline.config.train import TrainConfig
from hopline.model.vectors import KEY, read_vectors
from hopline.schema import EOS, PAD
from hopline.store.sources import Source

_SENTENCE_END = b"</s>"  # word2vec's and fastText's name for the end of a line


@dataclass(frozen=True)
class GivenVectors:
    """The vectors of those words of a vocabulary that a file has.

    Attributes:
        ids: of the words.
        rows: their vectors, N x F, float32.
        words: how many the vocabulary has, without the padding.
    """

    ids: npt.NDArray[np.int64]
    rows: npt.NDArray[np.float32]
    words: int

    @property
    def share(self) -> float:
        """Of the vocabulary's words, those that start from a vector."""
        return len(self.ids) / self.words

    def summary(self, place: str) -> str:
        """A sentence for the log."""
        return (
            f"{len(self.ids):,} of {self.words:,} words ({self.share:.1%}) start from {place}; "
            "the others keep their random start"
        )


def matching_vectors(source: Source, vocabulary: Path, width: int) -> GivenVectors:
    """Reads the vectors of the vocabulary's words, and of no others, into memory.

    Raises:
        UserError: as `read_vectors`; or the file has none of the words.
        InternalError: as `read_vectors`.
    """
    words = vocabulary.read_text(encoding="utf-8").split("\n")
    words = words[:-1] if words[-1] == "" else words
    ids = {word.encode(): number for number, word in enumerate(words) if number != PAD}
    found: dict[int, npt.NDArray[np.float32]] = {}
    for word, vector in read_vectors(source, width, "train"):
        number = ids.get(word)
        if number is None and word == _SENTENCE_END and EOS not in found:
            number = EOS
        if number is not None:
            found[number] = np.array(vector, np.float32)
    require(
        bool(found),
        f"{KEY} has vectors of none of the {len(ids):,} words of the vocabulary",
        "give vectors of this language, written in the same case (preprocess.lowercase)",
    )
    order = sorted(found)
    return GivenVectors(np.array(order), np.stack([found[number] for number in order]), len(ids))


def save_vectors(
    given: GivenVectors, model_config: ModelConfig, vocabulary_size: int, config: TrainConfig, training: Path
) -> Path:
    """Gives the folder `training` its first checkpoint, which is returned.

    The rows of A and C (one table where they are tied) are the vectors times one number, by which the whole of them has
    the standard deviation that the tables start with: the network is in the range for which its other weights are made,
    and words with a vector are no louder than words without.
    """
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # in this process alone, as `save_start` does

    from components.train.state.weights import build_model

    network = build_model(model_config, vocabulary_size, config)
    spread = float(given.rows.std())
    require(
        spread > 0, f"all numbers of the vectors in {KEY} are the same", "give vectors that tell one word from another"
    )
    rows_NF = given.rows * (model_config.init_stddev / spread)
    for table_VF in (network.key_table_VF, network.value_table_VF):
        values = np.array(table_VF)
        values[given.ids] = rows_NF
        table_VF.assign(values)
    return save_first(network, config, training)
