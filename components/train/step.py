"""One training step over all workers: sum gradients, then clip, then update."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.train.dropout import slot_dropout
from components.train.optimizers import make_optimizer
from hopline.config import TrainConfig
from hopline.metrics import window_nll
from hopline.model import MemoryNetwork, keep_all
from hopline.schema import PAD

# (replica, replicas) to that replica's part of something of the global batch
Share = Callable[[int, int], npt.NDArray[np.int32]]


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
    the update depend on the number of workers.  With a single replica there is nothing to exchange, and the whole step
    is one compiled program.

    Args:
        strategy: a MultiWorkerMirroredStrategy.
        model: built under its scope.
        config: the optimizer, `clip_norm` and `dropout`.
    """

    def __init__(self, strategy: tf.distribute.Strategy, model: MemoryNetwork, config: TrainConfig) -> None:
        self._strategy = strategy
        self._model = model
        self._optimizer = make_optimizer(config)
        self._clip_norm = config.clip_norm
        self._dropout = config.dropout
        self._weights = [variable.value for variable in model.trainable_variables]
        self._sizes = [math.prod(weight.shape) for weight in self._weights]
        with strategy.scope():
            self.slots = [
                tf.Variable(tf.zeros(weight.shape), trainable=False)
                for weight in self._weights
                for _ in range(self._optimizer.slots)
            ]
        if strategy.num_replicas_in_sync == 1:
            self._step = tf.function(self._compute_and_update, jit_compile=True)
        else:
            self._compiled_update = tf.function(self._update, jit_compile=True)
            self._step = tf.function(self._compute_exchange_update)

    def __call__(
        self,
        windows: Share,
        mask_keys: Share,
        *,
        number: int,
        learning_rate: float,
        stopping: bool,
    ) -> StepResult:
        """Trains on one global batch.

        Args:
            windows: each replica's share of the batch, shape (slots / replicas, M + T).
            mask_keys: each replica's share of the dropout keys, shape (slots / replicas, places, 2).
            number: of this update, from 1.
            learning_rate: for this update.
            stopping: whether this worker was told to stop.
        """
        inputs = (self._distribute(windows), self._distribute(mask_keys), tf.constant(float(stopping)))
        rate, count = tf.constant(learning_rate, tf.float32), tf.constant(number, tf.float32)
        loss, norm, targets, stops = self._step(*inputs, rate, count).numpy()
        return StepResult(float(loss), float(norm), int(targets), bool(stops > 0))

    def _distribute(self, share: Share) -> tf.Tensor:
        """A value for each replica of this worker."""

        def value(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            return tf.constant(share(context.replica_id_in_sync_group, context.num_replicas_in_sync))

        return self._strategy.experimental_distribute_values_from_function(value)

    def _compute(self, windows_BS: tf.Tensor, mask_keys: tf.Tensor, stopping: tf.Tensor) -> tf.Tensor:
        """Gradients of the summed loss, the sum, the number of targets and the stop flag in one vector."""
        drop = slot_dropout(self._dropout, mask_keys) if self._dropout else keep_all
        with tf.GradientTape() as tape:
            loss_sum = tf.reduce_sum(window_nll(self._model, windows_BS, drop))
        gradients = tape.gradient(loss_sum, self._weights)
        targets_BT = windows_BS[:, self._model.memory :]
        count = tf.math.count_nonzero(targets_BT != PAD, dtype=tf.float32)
        flat = [tf.reshape(gradient, [-1]) for gradient in gradients]
        return tf.concat([*flat, [loss_sum, count, stopping]], axis=0)

    def _update(
        self,
        weights: list[tf.Variable],
        slots: list[tf.Variable],
        packed: tf.Tensor,
        rate: tf.Tensor,
        number: tf.Tensor,
    ) -> tf.Tensor:
        """Divides, clips and applies the summed gradients to one replica's variables; loss, norm, targets, stops."""
        *flat, totals = tf.split(packed, [*self._sizes, 3])
        loss_sum, count, stops = tf.unstack(totals)
        targets = tf.maximum(count, 1.0)  # a batch of padding alone changes nothing
        gradients = [tf.reshape(part, weight.shape) / targets for part, weight in zip(flat, weights, strict=True)]
        norm = tf.linalg.global_norm(gradients)
        if self._clip_norm:
            # Not tf.clip_by_global_norm: it turns every gradient into NaN where the norm is not finite.
            scale = tf.minimum(1.0, self._clip_norm / norm)
            gradients = [gradient * scale for gradient in gradients]
        kept = self._optimizer.slots
        for index, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            own = slots[index * kept : (index + 1) * kept]
            new_weight, new_slots = self._optimizer.update(weight, gradient, own, rate, number)
            weight.assign(new_weight)
            for slot, new_slot in zip(own, new_slots, strict=True):
                slot.assign(new_slot)
        return tf.stack([loss_sum / targets, norm, count, stops])

    def _compute_and_update(
        self, windows: tf.Tensor, mask_keys: tf.Tensor, stopping: tf.Tensor, rate: tf.Tensor, number: tf.Tensor
    ) -> tf.Tensor:
        ((weights, slots),) = self._local_replicas()
        (own_windows,) = self._strategy.experimental_local_results(windows)
        (own_keys,) = self._strategy.experimental_local_results(mask_keys)
        return self._update(weights, slots, self._compute(own_windows, own_keys, stopping), rate, number)

    def _compute_exchange_update(
        self, windows: tf.Tensor, mask_keys: tf.Tensor, stopping: tf.Tensor, rate: tf.Tensor, number: tf.Tensor
    ) -> tf.Tensor:
        def compute(*inputs: tf.Tensor) -> tf.Tensor:
            # Traced once for each replica.  A function that they shared would hold on to the first one's variables.
            return tf.function(self._compute, jit_compile=True)(*inputs)

        per_replica = self._strategy.run(compute, args=(windows, mask_keys, stopping))
        packed = self._strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)
        # Every replica makes the same update from the same sums, so that they stay equal.
        results = []
        for weights, slots in self._local_replicas():
            with tf.device(weights[0].device):
                results.append(self._compiled_update(weights, slots, packed, rate, number))
        return results[0]

    def _local_replicas(self) -> list[tuple[list[tf.Variable], list[tf.Variable]]]:
        """Weights and slots of each replica of this worker, as the plain variables behind the mirrored ones."""
        parts = [
            [self._strategy.experimental_local_results(variable) for variable in variables]
            for variables in (self._weights, self.slots)
        ]
        replicas = range(len(parts[0][0]))
        return [([part[i] for part in parts[0]], [part[i] for part in parts[1]]) for i in replicas]
