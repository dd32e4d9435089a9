"""Tokenisation and vocabulary as one TensorFlow graph: the `preprocessing_fn` of TensorFlow Transform.

The same graph makes the shards and later serves raw text, so the two cannot differ.
"""

from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from hopline.config import PreprocessConfig
from hopline.schema import EOS, RESERVED_WORDS, UNKNOWN

VOCABULARY_ASSET = "words"  # the words in the order of their ids, which follow those of the reserved words

# What Python's str.split takes for whitespace, as an RE2 class, but for the newline, which is a token.
# tf.strings.split alone knows ASCII only.
_SPACE = r"[\t\x0b-\r\x1c-\x1f \x{85}\p{Z}]+"
_END_OF_LINE = f" {RESERVED_WORDS[EOS]} "


def preprocessing_fn(inputs: dict[str, Any], config: PreprocessConfig) -> dict[str, Any]:
    """Text to token ids and words.

    The vocabulary holds the `max_words` most frequent words of the training text, most frequent first.
    Reserved words never enter it: `<unk>` typed in the text is the unknown word, `<eos>` is an end of line,
    and `<pad>` is unknown like any other word that is not in the vocabulary, because no text is padding.

    Args:
        inputs: text, a string tensor [N]; each may hold any number of lines.
        config: max_words, min_count and lowercase are read.

    Returns:
        tokens (int64) and words (string), ragged [N, None]: an item per word, and `<eos>` per newline.
    """
    text = inputs["text"]
    if config.lowercase:
        text = tf.strings.lower(text, encoding="utf-8")
    text = tf.strings.regex_replace(text, _SPACE, " ")
    text = tf.strings.regex_replace(text, "\n", _END_OF_LINE)
    words = tf.strings.split(text)
    flat = words.flat_values
    reserved = tf.reduce_any(flat[:, tf.newaxis] == tf.constant(RESERVED_WORDS), axis=1)
    vocabulary = tft.vocabulary(
        tf.boolean_mask(flat, ~reserved),
        top_k=config.max_words,
        frequency_threshold=config.min_count if config.min_count > 1 else None,  # 1 draws a warning
        vocab_filename=VOCABULARY_ASSET,
    )
    index = tft.apply_vocabulary(flat, vocabulary, default_value=-1)
    tokens = tf.where(index >= 0, index + len(RESERVED_WORDS), tf.constant(UNKNOWN, tf.int64))
    tokens = tf.where(flat == RESERVED_WORDS[EOS], tf.constant(EOS, tf.int64), tokens)
    return {"tokens": words.with_flat_values(tokens), "words": words}


def read_vocabulary(transform: Path) -> list[str]:
    """The words by id, the reserved ones first, from the transform graph's own table."""
    text = (transform / "assets" / VOCABULARY_ASSET).read_text(encoding="utf-8")
    return [*RESERVED_WORDS, *text.removesuffix("\n").split("\n")]
