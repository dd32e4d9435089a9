"""What a served model answers: the functions of its SavedModel, which TensorFlow alone runs.

Suffixes: D texts   S words of context (M, the model's memory)   N tokens   K hops   F width of the output's states.

Functions over one piece of text take the S ids before it (`context`, `PAD` where there are none) and return those
after it.  So a text of any length is read in pieces, and each token has all the memory that it had in one piece.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from components.train.report.drawing import Outputs, drawing_signatures, spec
from hopline.model.generation import ALTERNATIVES, next_log_probs, word_log_probs
from hopline.model.network import MemoryNetwork
from hopline.model.scoring import SCORING_SEQUENCES, window_nll
from hopline.schema import EOS, PAD, VOCABULARY_FILE

_NUMBER = tf.TensorSpec([], tf.float32)
_AT_ONCE = 2  # windows whose logits or attention are kept whole: T (V + K M) numbers for each


class Signatures(tf.Module):
    """Transform graph, windows and model behind functions that take raw text.

    The model itself is captured and not an attribute, because saving would trace a Keras model's own call too.

    Args:
        model: the trained model.
        transform: folder of the transform graph; the vocabulary lies beside it (`hopline.schema`).
        targets: T, consecutive targets computed together; it does not change the numbers.
    """

    def __init__(self, model: MemoryNetwork, transform: Path, targets: int) -> None:
        super().__init__(name="hopline")
        self._context = model.memory
        self._targets = targets
        self.weights = [variable.value for variable in model.variables]  # tracked, so that they are saved
        self.transform = tf.saved_model.load(str(transform))
        words = (transform.parent / VOCABULARY_FILE).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        self.words = tf.constant(words)  # tracked: one copy for all functions

    def signatures(self, model: MemoryNetwork) -> dict[str, Callable[..., Outputs]]:
        """The functions by the names of their signatures.

        They are no attributes: those would be saved, and loaded, a second time.
        """
        drawing = drawing_signatures(model, self.words, self._context_of)
        functions = {**self._of_texts(model), **drawing, **self._of_pieces(model)}
        return {**functions, "serving_default": functions["score"]}

    def _of_texts(self, model: MemoryNetwork) -> dict[str, Callable[..., Outputs]]:
        few = tf.constant(ALTERNATIVES)

        def scored(windows: tf.Tensor) -> list[tf.Tensor]:
            return [window_nll(model, windows)]

        @tf.function(autograph=False, input_signature=[spec([None], tf.string, "text")])
        def score(text: tf.Tensor) -> Outputs:
            """Scores D whole documents, every token once and with all the memory that its document allows.

            Args:
                text: shape (D,), UTF-8; every newline is the word `<eos>`.

            Returns:
                For the N tokens of all documents in order: nll (N,), negative log-likelihood in nats, float32; ids
                (N,), int64; words (N,), as in the text. row_splits (D + 1,) says where documents begin and end.
            """
            encoded = self.transform.transform_fn({"text": text})
            tokens = encoded["tokens"]
            pads = tf.fill([tokens.nrows(), 1], tf.constant(PAD, tokens.dtype))
            stream = tf.cast(tf.concat([pads, tokens], axis=1).flat_values, tf.int32)  # as `TokenStream.ids`
            [nll] = self._map_windows(self._no_context(), stream, scored, [_NUMBER])
            return {
                "nll": tf.boolean_mask(nll, stream != PAD),
                "ids": tokens.flat_values,
                "words": encoded["words"].flat_values,
                "row_splits": tokens.row_splits,
            }

        @tf.function(autograph=False, input_signature=[spec([None], tf.string, "text"), spec([], tf.int32, "k")])
        def next_words(text: tf.Tensor, k: tf.Tensor = few) -> Outputs:
            """The k likeliest words after each of D texts, likeliest first.

            Returns:
                words, ids and probabilities, each (D, k).
            """
            log_probs = next_log_probs(model, self._context_of(text))
            found, ids = tf.math.top_k(log_probs, k=tf.clip_by_value(k, 0, model.vocabulary_size))
            return {"words": tf.gather(self.words, ids), "ids": ids, "probabilities": tf.exp(found)}

        @tf.function(autograph=False, input_signature=[spec([], tf.string, "word"), spec([], tf.int32, "k")])
        def nearest(word: tf.Tensor, k: tf.Tensor = few) -> Outputs:
            """The k words whose rows in the output table point most nearly in the direction of `word`'s.

            Returns:
                words and similarities (cosines), each (k,); none if the vocabulary does not hold `word`.
            """
            table = tf.math.l2_normalize(tf.cast(model.logit_table_VF, tf.float32), axis=1)
            place = tf.where(self.words == word)[:1, 0]
            cosines = tf.linalg.matvec(table, tf.reduce_sum(tf.gather(table, place), axis=0))
            usual = tf.range(tf.size(cosines)) > EOS
            others = usual & (self.words != word)
            least = tf.minimum(k, tf.reduce_sum(tf.cast(others, tf.int32)))
            found, ids = tf.math.top_k(tf.where(others, cosines, -2.0), k=least * tf.size(place))
            return {"words": tf.gather(self.words, ids), "similarities": found}

        return {"score": score, "next_words": next_words, "nearest": nearest}

    def _of_pieces(self, model: MemoryNetwork) -> dict[str, Callable[..., Outputs]]:
        few = tf.constant(ALTERNATIVES)

        def scored(windows: tf.Tensor) -> list[tf.Tensor]:
            return [window_nll(model, windows)]

        piece = [spec([self._context], tf.int32, "context"), spec([], tf.string, "text")]

        @tf.function(autograph=False, input_signature=piece)
        def score_piece(context: tf.Tensor, text: tf.Tensor) -> Outputs:
            """Scores a piece of one document: nll, ids and words as `score`, each (N,); context, (S,), after it."""
            stream, result = self._read(context, text)
            [nll] = self._map_windows(context, stream, scored, [_NUMBER])
            return {**result, "nll": nll}

        @tf.function(autograph=False, input_signature=[*piece, spec([], tf.int32, "k")])
        def alternatives(context: tf.Tensor, text: tf.Tensor, k: tf.Tensor = few) -> Outputs:
            """As `score_piece`, and the k likeliest words at each place.

            They are alternatives and alternative_log_probabilities, each (N, k), likeliest first.
            """
            stream, result = self._read(context, text)
            k = tf.clip_by_value(k, 0, model.vocabulary_size)

            def likeliest(windows: tf.Tensor) -> tuple[tf.Tensor, ...]:
                log_probs = word_log_probs(model(windows[:, :-1]))
                targets = windows[:, self._context :]
                return -tf.gather(log_probs, targets, batch_dims=2), *tf.math.top_k(log_probs, k=k)

            several = [spec([None], dtype, name) for dtype, name in ((tf.float32, "found"), (tf.int32, "ids"))]
            nll, found, ids = self._map_windows(context, stream, likeliest, [_NUMBER, *several], at_once=_AT_ONCE)
            words = tf.gather(self.words, ids)
            return {**result, "nll": nll, "alternatives": words, "alternative_log_probabilities": found}

        @tf.function(autograph=False, input_signature=piece)
        def states(context: tf.Tensor, text: tf.Tensor) -> Outputs:
            """As `score_piece`, and states, (N, F), what the output table is multiplied with at each place."""
            stream, result = self._read(context, text)

            def both(windows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return window_nll(model, windows), tf.cast(model.output_states(windows[:, :-1]), tf.float32)

            nll, found = self._map_windows(context, stream, both, [_NUMBER, spec([None], tf.float32, "states")])
            return {**result, "nll": nll, "states": found}

        @tf.function(autograph=False, input_signature=piece)
        def attention(context: tf.Tensor, text: tf.Tensor) -> Outputs:
            """As `score_piece`, and attention, (N, K, slots): what every hop reads of each slot, oldest first.

            The last slot ends at the word before.
            """
            stream, result = self._read(context, text)

            def both(windows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                probs = tf.stack(model.attention(windows[:, :-1]), axis=2)
                return window_nll(model, windows), tf.cast(probs, tf.float32)

            read = spec([model.hops, model.slots], tf.float32, "read")
            nll, found = self._map_windows(context, stream, both, [_NUMBER, read], at_once=_AT_ONCE)
            return {**result, "nll": nll, "attention": found}

        return {"score_piece": score_piece, "alternatives": alternatives, "states": states, "attention": attention}

    def _no_context(self) -> tf.Tensor:
        return tf.fill([self._context], PAD)

    def _context_of(self, text: tf.Tensor) -> tf.Tensor:
        """The last S ids of each of D texts, (D, S)."""
        tokens = tf.cast(self.transform.transform_fn({"text": text})["tokens"], tf.int32)
        padded = tf.concat([tf.fill([tokens.nrows(), self._context], PAD), tokens], axis=1)
        return padded[:, -self._context :].to_tensor(shape=[None, self._context])

    def _read(self, context: tf.Tensor, text: tf.Tensor) -> tuple[tf.Tensor, Outputs]:
        """The piece's ids as the model takes them; and what all functions of pieces return."""
        encoded = self.transform.transform_fn({"text": text[None]})
        stream = tf.cast(encoded["tokens"].flat_values, tf.int32)
        after = tf.concat([context, stream], axis=0)[-self._context :]
        words = encoded["words"].flat_values
        return stream, {"ids": encoded["tokens"].flat_values, "words": words, "context": after}

    def _map_windows(
        self,
        context: tf.Tensor,
        stream: tf.Tensor,
        function: Callable[[tf.Tensor], Sequence[tf.Tensor]],
        results: Sequence[tf.TensorSpec],
        at_once: int = SCORING_SEQUENCES,
    ) -> list[tf.Tensor]:
        """Applies `function` to windows (B, S + T) that cover the stream once, `at_once` of them together.

        Args:
            context: the S ids before the stream.
            stream: shape (N,).
            function: gives values (B, T, ...), one for every target of every window.
            results: what each value is for one target.
            at_once: how many windows are computed together.

        Returns:
            The values, each (N, ...), in the stream's order.
        """
        targets, length = self._targets, tf.size(stream)
        windows = tf.maximum(1, -(-length // targets))  # one at least, of padding: an empty stream has values' shapes
        together = tf.minimum(windows, at_once)
        groups = -(-windows // together)
        padded = tf.concat([context, stream, tf.fill([groups * together * targets - length], PAD)], axis=0)
        starts = tf.reshape(tf.range(groups * together) * targets, [groups, together])
        span = tf.range(self._context + targets)

        def of_group(starts_B: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return tuple(function(tf.gather(padded, starts_B[:, None] + span)))

        kinds = tuple(tf.TensorSpec([None, targets, *result.shape], result.dtype) for result in results)
        # One group after the other, since its logits are large.
        mapped = tf.map_fn(of_group, starts, fn_output_signature=kinds, parallel_iterations=1)
        inner = [tf.shape(value)[3:] for value in mapped]
        flat = [
            tf.reshape(value, tf.concat([[-1], size], 0))[:length] for value, size in zip(mapped, inner, strict=True)
        ]
        return [tf.ensure_shape(value, [None, *result.shape]) for value, result in zip(flat, results, strict=True)]
