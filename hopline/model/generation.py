"""Words drawn from the model, one after another, as a graph: an export carries it, and nothing else draws.

Suffixes: B texts   S words of context (M, the model's memory)   V vocabulary   N new words   C candidates at one place
Z words that end a text.  Only the last S words of a text matter to the next one, so they are all that a step keeps;
with a neural cache also what that holds.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from hopline.model import neural_cache
from hopline.model.neural_cache import NeuralCache
from hopline.schema import PAD, UNKNOWN

ALTERNATIVES = 5  # likeliest words returned for every drawn word
_LEAST_TEMPERATURE = 1e-4  # below, words that are not equally likely are never confused
_NEVER = float("-inf")


class Draw(NamedTuple):
    """How words are drawn; every field is a scalar tensor.

    Attributes:
        temperature: float32, divides the logits; 0 takes the likeliest word.
        top_k: int32, draws from so many of the likeliest words; 0 from all.
        top_p: float32, draws from the fewest likeliest words whose probabilities add up to it; 1 from all.
        seed: int64; the same seed draws the same words.
        unknown: bool, whether `<unk>` may be drawn.  `<pad>`, which no text holds, never is.
    """

    temperature: tf.Tensor
    top_k: tf.Tensor
    top_p: tf.Tensor
    seed: tf.Tensor
    unknown: tf.Tensor


class Drawn(NamedTuple):
    """One word for each text.

    Attributes:
        ids: (B,), int32.
        log_probs: (B,), their log-probabilities in nats under the model itself, and its neural cache, whatever the
            temperature.
        candidates: (B, C), int32, the likeliest words that may be drawn, C = min(ALTERNATIVES, V), likeliest first.
        candidate_log_probs: (B, C), theirs.
    """

    ids: tf.Tensor
    log_probs: tf.Tensor
    candidates: tf.Tensor
    candidate_log_probs: tf.Tensor


class Generated(NamedTuple):
    """Up to N words for each text, and what it takes to go on.

    Attributes:
        context: (B, S), the last S words.
        ended: (B,), whether the text has come to a word that ends it.
        lengths: (B,), how many of the N words are the text's, without the one that ended it.
        words: of every place (`Drawn`), with shapes (B, N) and (B, N, C); `PAD` after a text's end.
        cache: the neural cache with these words in it.
    """

    context: tf.Tensor
    ended: tf.Tensor
    lengths: tf.Tensor
    words: Drawn
    cache: NeuralCache


def next_states(model: keras.Model, context_BS: tf.Tensor) -> tf.Tensor:
    """What the output table is multiplied with after the S = M words of each text, states_BF in float32."""
    context_BS = tf.ensure_shape(context_BS, [None, model.memory])
    return tf.cast(model.output_states(context_BS)[:, 0], tf.float32)


def next_log_probs(model: keras.Model, context_BS: tf.Tensor) -> tf.Tensor:
    """The log-probability in nats of every word after the S = M words of each text, log_probs_BV in float32."""
    return _log_probs(model, next_states(model, context_BS))


def _log_probs(model: keras.Model, states_BF: tf.Tensor) -> tf.Tensor:
    return word_log_probs(model.logits(tf.cast(states_BF, model.compute_dtype)[:, None])[:, 0])


def word_log_probs(logits: tf.Tensor) -> tf.Tensor:
    """Log-probabilities from logits, vocabulary last, as scoring has them: `PAD` is no word and has none."""
    is_word_V = tf.not_equal(tf.range(tf.shape(logits)[-1]), PAD)
    return tf.nn.log_softmax(tf.where(is_word_V, tf.cast(logits, tf.float32), _NEVER))


def draw_word(log_probs_BV: tf.Tensor, how: Draw, place: tf.Tensor) -> Drawn:
    """Draws one word for each text.

    The random numbers are a function of the seed, the place in the text and the text's number in the batch (Philox),
    so words drawn in several calls are those of one, and a further text in the batch changes nothing for the others.

    Args:
        log_probs_BV: see `next_log_probs`.
        how: how to draw.
        place: int32, number of words drawn before.
    """
    size = tf.shape(log_probs_BV)[1]
    word_V = tf.range(size)
    barred_V = tf.equal(word_V, PAD) | (tf.equal(word_V, UNKNOWN) & ~how.unknown)
    allowed_BV = tf.where(barred_V, _NEVER, log_probs_BV)
    wanted = tf.where((how.top_k > 0) & (how.top_k < size), how.top_k, size)
    listed = tf.minimum(ALTERNATIVES, size)
    seed = tf.stack([how.seed, tf.cast(place, tf.int64)])
    uniform_B = tf.random.stateless_uniform([tf.shape(allowed_BV)[0]], seed, alg="philox")

    def among_likeliest() -> Drawn:
        log_probs_BC, ids_BC = tf.math.top_k(allowed_BV, k=tf.maximum(wanted, listed))
        rank_C = tf.range(tf.shape(ids_BC)[1])
        probs_BC = _tempered(tf.where(rank_C < wanted, log_probs_BC, _NEVER), how.temperature)
        likelier_BC = tf.cumsum(probs_BC, axis=1, exclusive=True)
        kept_BC = tf.where((likelier_BC < how.top_p) | tf.equal(rank_C, 0), probs_BC, 0.0)
        picked_B = tf.where(how.temperature > 0, _pick(kept_BC, uniform_B), 0)
        ids_B, log_probs_B = (tf.gather(values_BC, picked_B, batch_dims=1) for values_BC in (ids_BC, log_probs_BC))
        return Drawn(ids_B, log_probs_B, ids_BC[:, :listed], log_probs_BC[:, :listed])

    def among_all() -> Drawn:  # without sorting all of them, which takes longer than the model
        ids_B = _pick(_tempered(allowed_BV, how.temperature), uniform_B)
        log_probs_BC, ids_BC = tf.math.top_k(allowed_BV, k=listed)
        return Drawn(ids_B, tf.gather(allowed_BV, ids_B, batch_dims=1), ids_BC, log_probs_BC)

    unlimited = tf.equal(wanted, size) & (how.top_p >= 1) & (how.temperature > 0)
    return Drawn(*tf.cond(unlimited, among_all, among_likeliest))


def _tempered(log_probs_BC: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    highest_B1 = tf.reduce_max(log_probs_BC, axis=1, keepdims=True)
    return tf.nn.softmax((log_probs_BC - highest_B1) / tf.maximum(temperature, _LEAST_TEMPERATURE))


def _pick(weights_BC: tf.Tensor, uniform_B: tf.Tensor) -> tf.Tensor:
    """The candidate at which the running sum of the weights first exceeds the share `uniform_B` of their sum."""
    sums_BC = tf.cumsum(weights_BC, axis=1)
    picked_B = tf.reduce_sum(tf.cast(sums_BC <= uniform_B[:, None] * sums_BC[:, -1:], tf.int32), axis=1)
    place_C = tf.range(tf.shape(weights_BC)[1])
    last_B = tf.reduce_max(tf.where(weights_BC > 0, place_C, 0), axis=1)  # where the share rounds to the whole sum
    return tf.minimum(picked_B, last_B)


def generate(
    model: keras.Model,
    context_BS: tf.Tensor,
    ended_B: tf.Tensor,
    first: tf.Tensor,
    tokens: tf.Tensor,
    how: Draw,
    stop_Z: tf.Tensor,
    cache: NeuralCache,
) -> Generated:
    """Draws N words for each text, fewer if all texts have ended.

    Args:
        model: a `MemoryNetwork`.
        context_BS: int32, the last S words of each text, `PAD` before its beginning.
        ended_B: bool, texts that get no words.
        first: int32, number of words drawn before, in calls of which this one is the continuation.
        tokens: int32, N.
        how: how to draw.
        stop_Z: int32, words of which each ends a text.
        cache: the neural cache of the words before.
    """
    listed = min(ALTERNATIVES, model.vocabulary_size)
    arrays = [
        tf.TensorArray(dtype, size=0, dynamic_size=True, element_shape=shape, clear_after_read=False)
        for shape in ([None], [None, listed])
        for dtype in (tf.int32, tf.float32)
    ]

    def going_on(step: tf.Tensor, context: tf.Tensor, ended: tf.Tensor, *_: object) -> tf.Tensor:
        return (step < tokens) & ~tf.reduce_all(ended)

    def one_word(
        step: tf.Tensor,
        context: tf.Tensor,
        ended: tf.Tensor,
        lengths: tf.Tensor,
        states: tf.Tensor,
        ids: tf.Tensor,
        *arrays: tf.TensorArray,
    ) -> tuple[tf.Tensor, ...]:
        held = cache._replace(states=states, ids=ids)
        next_BF = next_states(model, context)
        log_probs = neural_cache.mixed(_log_probs(model, next_BF), next_BF, held)
        drawn = draw_word(log_probs, how, first + step)
        ended = ended | tf.reduce_any(drawn.ids[:, None] == stop_Z, axis=1)
        ids_B = tf.where(ended, PAD, drawn.ids)
        context = tf.concat([context[:, 1:], ids_B[:, None]], axis=1)
        held = neural_cache.extended(held, next_BF, ids_B)
        written = (array.write(step, value) for array, value in zip(arrays, (ids_B, *drawn[1:]), strict=True))
        lengths += tf.cast(~ended, tf.int32)
        return step + 1, context, ended, lengths, held.states, held.ids, *written

    start = (tf.constant(0), context_BS, ended_B, tf.zeros_like(context_BS[:, 0]), cache.states, cache.ids, *arrays)
    rows: list[list[int | None]] = [[], [None, model.memory], [None], [None], [None, None, cache.states.shape[2]]]
    shapes = (*map(tf.TensorShape, [*rows, [None, None]]), *(tf.TensorShape(None) for _ in arrays))
    _, context, ended, lengths, states, ids, *filled = tf.while_loop(
        going_on, one_word, start, shape_invariants=shapes, parallel_iterations=1
    )
    batch_first = (tf.cond(array.size() > 0, array.stack, lambda a=array: _nothing(a, context)) for array in filled)
    stacked = [tf.transpose(value, [1, 0, 2] if value.shape.rank == 3 else [1, 0]) for value in batch_first]
    return Generated(context, ended, lengths, Drawn(*stacked), cache._replace(states=states, ids=ids))


def _nothing(array: tf.TensorArray, context_BS: tf.Tensor) -> tf.Tensor:
    """What `array` stacks to when no word was drawn: stacking an empty one forgets how many texts there are."""
    shape = tf.concat([[0, tf.shape(context_BS)[0]], tf.constant(array.element_shape[1:].as_list(), tf.int32)], axis=0)
    return tf.zeros(shape, array.dtype)
