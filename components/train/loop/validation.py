"""The loss over the validation split, shared by the workers."""

import itertools

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hopline.model.network import MemoryNetwork
from hopline.model.scoring import perplexity, scoring_windows, window_nll
from hopline.model.streams import TokenStream
from hopline.runtime.progress import Progress
from hopline.schema import PAD


class Validation:
    """Scores the validation split; every worker calls it at the same step, and each has the same result.

    Args:
        strategy: a MultiWorkerMirroredStrategy.
        model: built under its scope; it is scored with the weights that it has when `loss` is called.
        stream: the validation split.
        targets: T.
        quiet: shows no progress; for all workers but the chief.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, model: MemoryNetwork, stream: TokenStream, targets: int, *, quiet: bool
    ) -> None:
        self._strategy = strategy
        self._model = model
        self._stream = stream
        self._targets = targets
        self._quiet = quiet
        self._sums = tf.function(self._reduce_scores)

    @property
    def targets(self) -> int:
        """Tokens of the split."""
        return self._stream.targets

    def loss(self, phase: str = "validating") -> float:
        """Mean negative log-likelihood of a token in nats.

        Args:
            phase: what progress calls it.
        """
        replicas = self._strategy.num_replicas_in_sync
        progress = Progress("train", self._stream.targets, "tokens", phase=phase, quiet=self._quiet)
        batches = scoring_windows(self._stream, self._model.memory, self._targets)
        total, count = 0.0, 0
        while at_once := list(itertools.islice(batches, replicas)):
            sums, counts = self._score(at_once)
            total, count = total + sums, count + counts
            progress.update(count, perplexity=perplexity(total / count))
        return total / count

    def _score(self, batches: list[npt.NDArray[np.int32]]) -> tuple[float, int]:
        """Sum of negative log-likelihoods and number of targets over one batch per replica."""

        def value(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            index = context.replica_id_in_sync_group
            return tf.constant(batches[index] if index < len(batches) else np.full_like(batches[0], PAD))

        windows = self._strategy.experimental_distribute_values_from_function(value)
        total, count = self._sums(windows)
        return float(total), int(count)

    def _replica_scores(self, windows_BS: tf.Tensor) -> tf.Tensor:
        # Traced once for each replica, and each with a function of its own (see `TrainStep`).
        nll_BT = tf.function(window_nll, jit_compile=True)(self._model, windows_BS)
        count = tf.math.count_nonzero(windows_BS[:, self._model.memory :] != PAD, dtype=tf.float64)
        return tf.stack([tf.reduce_sum(tf.cast(nll_BT, tf.float64)), count])

    def _reduce_scores(self, windows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        per_replica = self._strategy.run(self._replica_scores, args=(windows,))
        return tf.unstack(self._strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None))
