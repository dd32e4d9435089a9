"""One training step over all workers: sum gradients, then clip, then update."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hopline.config import TrainConfig
from hopline.metrics import window_nll
from hopline.model import MemoryNetwork
from hopline.schema import PAD


@dataclass(frozen=True)
class StepResult:
    """What a step of the global batch gave.

    Attributes:
        loss: mean negative log-likelihood per target, in nats, before the update.
        gradient_norm: L2 norm over all parameters of that mean's gradient, before clipping.
        targets: how many targets the batch held.
        stopping: whether any worker was told to stop.
    """

    loss: float
    gradient_norm: float
    targets: int
    stopping: bool


class TrainStep:
    """The compiled step of one worker.

    The loss is the mean over the targets of the *global* batch.  Workers therefore exchange sums: the gradients of the
    summed loss, the sum itself and the number of targets travel in one packed all-reduce.  Only then is the gradient
    divided, clipped by its global norm and applied; clipping before the exchange, as Keras optimizers do, would make
    the update depend on the number of workers.

    Args:
        strategy: a MultiWorkerMirroredStrategy.
        model: built under its scope.
        optimizer: built under its scope.
        config: `clip_norm` and the batch's shape.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: MemoryNetwork,
        optimizer: keras.optimizers.Optimizer,
        config: TrainConfig,
    ) -> None:
        self._strategy = strategy
        self._model = model
        self._optimizer = optimizer
        self._clip_norm = config.clip_norm
        self._variables = model.trainable_variables
        self._sizes = [math.prod(variable.shape) for variable in self._variables]
        self._packed_gradients = tf.function(self._forward_backward, jit_compile=True)
        self._step = tf.function(self._reduce_and_apply)

    def __call__(self, windows: Callable[[int, int], npt.NDArray[np.int32]], *, stopping: bool) -> StepResult:
        """Trains on one global batch.

        Args:
            windows: (replica, replicas) to that replica's share of the batch, shape (slots / replicas, M + T);
                called for the replicas of this worker.
            stopping: whether this worker was told to stop.
        """

        def value(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            return tf.constant(windows(context.replica_id_in_sync_group, context.num_replicas_in_sync))

        batch = self._strategy.experimental_distribute_values_from_function(value)
        loss, norm, targets, stops = self._step(batch, tf.constant(float(stopping)))
        return StepResult(float(loss), float(norm), int(targets), bool(stops > 0))

    def _forward_backward(self, windows_BS: tf.Tensor, stopping: tf.Tensor) -> tf.Tensor:
        """Gradients of the summed loss, the sum, the number of targets and the stop flag in one vector."""
        with tf.GradientTape() as tape:
            loss_sum = tf.reduce_sum(window_nll(self._model, windows_BS))
        gradients = tape.gradient(loss_sum, self._variables)
        targets_BT = windows_BS[:, self._model.memory :]
        count = tf.math.count_nonzero(targets_BT != PAD, dtype=tf.float32)
        flat = [tf.reshape(gradient, [-1]) for gradient in gradients]
        return tf.concat([*flat, [loss_sum, count, stopping]], axis=0)

    def _reduce_and_apply(
        self, windows: tf.Tensor, stopping: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        per_replica = self._strategy.run(self._packed_gradients, args=(windows, stopping))
        packed = self._strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)
        *flat, totals = tf.split(packed, [*self._sizes, 3])
        loss_sum, count, stops = tf.unstack(totals)
        count = tf.maximum(count, 1.0)  # a batch of padding alone changes nothing
        gradients = [
            tf.reshape(part, variable.shape) / count for part, variable in zip(flat, self._variables, strict=True)
        ]
        norm = tf.linalg.global_norm(gradients)
        if self._clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm, use_norm=norm)
        # In cross-replica context a Keras optimizer applies to every replica and exchanges nothing.
        self._optimizer.apply(gradients, self._variables)
        return loss_sum / count, norm, count, stops


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """The configured optimizer; it never clips, because clipping comes after the exchange between workers."""
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(config.learning_rate)
    return keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
