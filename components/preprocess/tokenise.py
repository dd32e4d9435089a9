"""Tokenisation and vocabulary as one TensorFlow graph: the `preprocessing_fn` of TensorFlow Transform.

The same graph makes the shards and later serves raw text, so the two cannot differ.
"""

import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from components.preprocess.graph import split
from hopline.config.preprocess import PreprocessConfig
from hopline.schema import EOS, RESERVED_WORDS, UNKNOWN
from hopline.store.folders import whole, write_text

VOCABULARY_ASSET = "words"  # the words in the order of their ids, which follow those of the reserved words


def preprocessing_fn(inputs: dict[str, Any], config: PreprocessConfig) -> dict[str, Any]:
    """Text to token ids and words.

    The vocabulary holds the `max_words` most frequent words of the training text, most frequent first.
    Reserved words never enter it: `<unk>` typed in the text is the unknown word, `<eos>` is an end of line,
    and `<pad>` is unknown like any other word that is not in the vocabulary, because no text is padding.

    Args:
        inputs: text, a string tensor [N]; each may hold any number of lines.
        config: tokeniser, lowercase, max_words and min_count are read.

    Returns:
        tokens (int64) and words (string), ragged [N, None]: an item per word, and `<eos>` per line end.
    """
    words = split(inputs["text"], config.tokeniser, lowercase=config.lowercase)
    flat = words.flat_values
    reserved = tf.reduce_any(flat[:, tf.newaxis] == tf.constant(RESERVED_WORDS), axis=1)
    vocabulary = tft.vocabulary(
        tf.boolean_mask(flat, ~reserved),
        top_k=config.max_words,
        frequency_threshold=config.min_count if config.min_count > 1 else None,  # 1 draws a warning
        vocab_filename=VOCABULARY_ASSET,
    )
    return _encoded(words, tft.apply_vocabulary(flat, vocabulary, default_value=-1))


def write_transform(words: list[str], target: Path, config: PreprocessConfig) -> None:
    """Writes the graph that `preprocessing_fn` gives for these words, without looking at any text.

    Args:
        words: by id, the reserved ones first.
        target: the folder to make.
        config: tokeniser and lowercase are read.
    """
    with tempfile.TemporaryDirectory() as folder, whole(target) as result:
        asset = Path(folder) / VOCABULARY_ASSET
        write_text(asset, "".join(f"{word}\n" for word in words[len(RESERVED_WORDS) :]))
        tf.saved_model.save(_GivenVocabulary(asset, config), str(result))


class _GivenVocabulary(tf.Module):
    """`preprocessing_fn` with the table of a file, one word a line."""

    def __init__(self, file: Path, config: PreprocessConfig) -> None:
        super().__init__()
        self._config = config
        self.file = tf.saved_model.Asset(str(file))  # tracked, and so saved with the graph
        columns = tf.lookup.TextFileIndex
        lines = tf.lookup.TextFileInitializer(self.file, tf.string, columns.WHOLE_LINE, tf.int64, columns.LINE_NUMBER)
        self.table = tf.lookup.StaticHashTable(lines, default_value=-1)

    @tf.function(input_signature=[{"text": tf.TensorSpec([None], tf.string)}])
    def transform_fn(self, inputs: dict[str, tf.Tensor]) -> dict[str, Any]:
        """As `preprocessing_fn`."""
        words = split(inputs["text"], self._config.tokeniser, lowercase=self._config.lowercase)
        return _encoded(words, self.table.lookup(words.flat_values))


def _encoded(words: tf.RaggedTensor, index: tf.Tensor) -> dict[str, Any]:
    """Tokens and words; `index` has each word's place in the vocabulary's file, -1 for none."""
    tokens = tf.where(index >= 0, index + len(RESERVED_WORDS), tf.constant(UNKNOWN, tf.int64))
    tokens = tf.where(words.flat_values == RESERVED_WORDS[EOS], tf.constant(EOS, tf.int64), tokens)
    return {"tokens": words.with_flat_values(tokens), "words": words}


def read_vocabulary(transform: Path) -> list[str]:
    """The words by id, the reserved ones first, from the transform graph's own table."""
    text = (transform / "assets" / VOCABULARY_ASSET).read_text(encoding="utf-8")
    return [*RESERVED_WORDS, *text.removesuffix("\n").split("\n")]
