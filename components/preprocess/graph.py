"""The tokenisers as a TensorFlow graph: the substitutions of `hopline.model.tokenisers`, run by RE2."""

import tensorflow as tf

from hopline.model.tokenisers import lower_case_pages, rewrites


def split(text: tf.Tensor, tokeniser: str, *, lowercase: bool) -> tf.RaggedTensor:
    """The tokens of each text, as `hopline.model.tokenisers.tokenise` gives them.

    Args:
        text: UTF-8 strings, shape [N].
        tokeniser: one of `hopline.schema.TOKENISERS`.
        lowercase: whether the text is lowercased first.

    Returns:
        Strings, ragged [N, None].
    """
    if lowercase:
        text = _lower(text)
    for pattern, replacement in rewrites(tokeniser):
        text = tf.strings.regex_replace(text, pattern, replacement)
    return tf.strings.split(text)  # at ASCII whitespace, of which the substitutions leave blanks alone


def _lower(text: tf.Tensor) -> tf.Tensor:
    """`hopline.model.tokenisers.lower`: tf.strings.lower asks ICU, whose answer depends on the process's locale."""
    index, pages = lower_case_pages()
    points = tf.strings.unicode_decode(text, "UTF-8")
    flat = points.flat_values
    place = tf.gather(index, flat // 256) * 256 + flat % 256
    lowered = flat + tf.gather(pages.reshape(-1), place)
    return tf.strings.unicode_encode(points.with_flat_values(lowered), "UTF-8")
