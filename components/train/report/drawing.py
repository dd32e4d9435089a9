"""The signatures that draw words, see `Signatures`.

Suffixes: D texts   S words of context (M, the model's memory)   N new words   C candidates at one place
W words in the neural cache   F width of the output's states   Z words that end a text.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from hopline.model.generation import Draw, generate
from hopline.model.neural_cache import NeuralCache
from hopline.schema import EOS, PAD, RESERVED_WORDS

Outputs = dict[str, tf.Tensor]


def spec(shape: list[int | None], dtype: tf.DType, name: str) -> tf.TensorSpec:
    """What an input is."""
    return tf.TensorSpec(shape, dtype, name=name)


_HOW = [
    spec([], tf.int32, "tokens"),
    spec([], tf.float32, "temperature"),
    spec([], tf.int32, "top_k"),
    spec([], tf.float32, "top_p"),
    spec([], tf.int64, "seed"),
    spec([None], tf.string, "stop"),
    spec([], tf.bool, "unknown"),
]


def drawing_signatures(
    model: keras.Model, words: tf.Tensor, context_of: Callable[[tf.Tensor], tf.Tensor]
) -> dict[str, Callable[..., Outputs]]:
    """The functions by the names of their signatures.

    Args:
        model: a `MemoryNetwork`.
        words: the vocabulary, (V,).
        context_of: the last S ids of each of D texts, (D, S).
    """

    @tf.function(autograph=False, input_signature=[spec([None], tf.string, "text")])
    def begin(text: tf.Tensor) -> Outputs:
        """The context of each of D texts, (D, S), and ended, (D,), which is nowhere true."""
        context = context_of(text)
        return {"context": context, "ended": tf.zeros_like(context[:, 0], tf.bool)}

    return {
        "generate": _generate(model, words, context_of),
        "extend": _extend(model, words),
        "begin": begin,
    }


def _generate(
    model: keras.Model, words: tf.Tensor, context_of: Callable[[tf.Tensor], tf.Tensor]
) -> Callable[..., Outputs]:
    # Defaults, of which TensorFlow Serving knows; Python has to name every argument.
    thirty, zero, one, first_seed = tf.constant(30), tf.constant(0), tf.constant(1.0), tf.constant(0, tf.int64)
    nothing, no = tf.constant([], tf.string), tf.constant(False)

    @tf.function(autograph=False, input_signature=[spec([None], tf.string, "text"), *_HOW])
    def generate_text(
        text: tf.Tensor,
        tokens: tf.Tensor = thirty,
        temperature: tf.Tensor = one,
        top_k: tf.Tensor = zero,
        top_p: tf.Tensor = one,
        seed: tf.Tensor = first_seed,
        stop: tf.Tensor = nothing,
        unknown: tf.Tensor = no,
    ) -> Outputs:
        """Continues D texts by up to `tokens` words each.

        `hopline.model.generation.Draw` says how; `stop`, shape (Z,), are words that end a text, a newline `<eos>`.

        Returns:
            words, ids and log_probabilities (nats), each (D, N), N <= tokens, empty after a text's end; lengths
            (D,); the likeliest words at each place, alternatives and alternative_log_probabilities, (D, N, C);
            context and ended, with which `extend` goes on.
        """
        draw = Draw(temperature, top_k, top_p, seed, unknown)
        context = context_of(text)
        ended, texts, width = tf.zeros_like(context[:, 0], tf.bool), tf.shape(context)[0], _width(model)
        none = NeuralCache(tf.zeros([texts, 0, width]), tf.zeros([texts, 0], tf.int32), tf.constant(0.0), one)
        found = _drawn(model, words, context, ended, tf.constant(0), tokens, draw, stop, none)
        return {name: value for name, value in found.items() if not name.startswith("cache_")}

    return generate_text


def _extend(model: keras.Model, words: tf.Tensor) -> Callable[..., Outputs]:
    @tf.function(
        autograph=False,
        input_signature=[
            spec([None, model.memory], tf.int32, "context"),
            spec([None], tf.bool, "ended"),
            spec([], tf.int32, "first"),
            *_HOW,
            spec([None, None, _width(model)], tf.float32, "cache_states"),
            spec([None, None], tf.int32, "cache_ids"),
            spec([], tf.float32, "cache_weight"),
            spec([], tf.float32, "cache_flatness"),
        ],
    )
    def extend(
        context: tf.Tensor,
        ended: tf.Tensor,
        first: tf.Tensor,
        tokens: tf.Tensor,
        temperature: tf.Tensor,
        top_k: tf.Tensor,
        top_p: tf.Tensor,
        seed: tf.Tensor,
        stop: tf.Tensor,
        unknown: tf.Tensor,
        cache_states: tf.Tensor,
        cache_ids: tf.Tensor,
        cache_weight: tf.Tensor,
        cache_flatness: tf.Tensor,
    ) -> Outputs:
        """Goes on where `begin`, `generate` or `extend` ended; `first` counts the words drawn since the text.

        A neural cache (`hopline.model.neural_cache`) is mixed in: cache_states, (D, W, F), and cache_ids, (D, W), are
        those that `states` gave of the texts, W = 0 for no cache; what comes back goes into the next call.
        """
        draw = Draw(temperature, top_k, top_p, seed, unknown)
        cache = NeuralCache(cache_states, cache_ids, cache_weight, cache_flatness)
        return _drawn(model, words, context, ended, first, tokens, draw, stop, cache)

    return extend


def _width(model: keras.Model) -> int:
    """F, of the states that the output table is multiplied with."""
    return int(model.logit_table_VF.shape[1])


def _drawn(
    model: keras.Model,
    words: tf.Tensor,
    context: tf.Tensor,
    ended: tf.Tensor,
    first: tf.Tensor,
    tokens: tf.Tensor,
    draw: Draw,
    stop: tf.Tensor,
    cache: NeuralCache,
) -> Outputs:
    wanted = tf.where(stop == "\n", RESERVED_WORDS[EOS], stop)
    stop_ids = tf.cast(tf.where(tf.reduce_any(words[:, None] == wanted, axis=1))[:, 0], tf.int32)
    result = generate(model, context, ended, first, tokens, draw, stop_ids, cache)
    return {
        "words": tf.where(result.words.ids == PAD, "", tf.gather(words, result.words.ids)),
        "ids": result.words.ids,
        "lengths": result.lengths,
        "log_probabilities": result.words.log_probs,
        "alternatives": tf.gather(words, result.words.candidates),
        "alternative_log_probabilities": result.words.candidate_log_probs,
        "context": result.context,
        "ended": result.ended,
        "cache_states": result.cache.states,
        "cache_ids": result.cache.ids,
    }
