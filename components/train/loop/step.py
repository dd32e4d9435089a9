"""One training step over all workers: sum gradients, then clip, then update."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.train.loop.dropout import make_drop
from components.train.loop.optimizers import Numbers, make_optimizers
from components.train.loop.output_layer import fused_nll, summed_nll
from hopline.config.train import TrainConfig
from hopline.model.network import MemoryNetwork
from hopline.runtime.cpus import multiplies_bfloat16
from hopline.schema import PAD

_LARGE = 1 << 18  # numbers, from which on a gradient is exchanged by itself

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"

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


class Inputs(NamedTuple):
    """What else than its share of the batch a replica's gradients depend on, scalars in float32.

    Attributes:
        stopping: 1 if this worker was told to stop, else 0.
        drop_share: what the rates of dropout are multiplied by.
    """

    stopping: tf.Tensor
    drop_share: tf.Tensor


class TrainStep:
    """The compiled step of one worker.

    The loss is the mean over the targets of the *global* batch.  Workers therefore exchange sums: the gradients of the
    summed loss, the sum itself and the number of targets.  Only then is the gradient divided, clipped by its global
    norm and applied; clipping before the exchange, as Keras optimizers do, would make the update depend on the number
    of workers.  Large gradients travel as soon as they are ready, all else in one packed vector.  Of a table that is
    only looked up, rows travel rather than the whole, where the batch has few tokens beside the vocabulary.

    XLA compiles the memory and the update; the output layer, three quarters of the work, is
    `components.train.loop.output_layer`.  On a CPU the products over the memory are too small to share among cores, so
    each replica cuts its sequences into lanes, and each core computes one.

    Args:
        strategy: a MultiWorkerMirroredStrategy.
        model: built under its scope.
        config: the optimizer with its average, `clip_norm` and the rates of dropout.
        lanes: into how many equal parts each replica cuts its share of the batch, see `lane_count`.
        steps_per_epoch: for what the configuration counts in epochs.
        on_gpu: whether the replicas are GPUs.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: MemoryNetwork,
        config: TrainConfig,
        lanes: int = 1,
        steps_per_epoch: int = 1,
        *,
        on_gpu: bool = False,
    ) -> None:
        self._strategy = strategy
        self._lanes = lanes
        self._model = model
        self._config = config
        self._optimizers = make_optimizers(config, model, steps_per_epoch)
        self._clip_norm = config.clip_norm
        self._summed_nll = fused_nll if on_gpu else summed_nll
        low = config.precision == "bfloat16" and (on_gpu or multiplies_bfloat16())
        self._output_dtype = tf.bfloat16 if low else tf.float32
        self._weights = [variable.value for variable in model.trainable_variables]
        self._output_weights = [
            variable.value for variable in (model.logit_table_VF, model.logit_bias_V) if variable is not None
        ]
        with strategy.scope():
            self.slots = [
                tf.Variable(tf.zeros(weight.shape), trainable=False)
                for weight, optimizer in zip(self._weights, self._optimizers, strict=True)
                for _ in range(optimizer.slots)
            ]
        self._compiled_update = tf.function(self._update, jit_compile=True)
        alone = strategy.num_replicas_in_sync == 1
        self._step = tf.function(self._compute_and_update if alone else self._compute_exchange_update)

    def __call__(
        self,
        windows: Share,
        mask_keys: Share,
        *,
        number: int,
        learning_rate: float,
        stopping: bool,
        average_share: float = 1.0,
        drop_share: float = 1.0,
    ) -> StepResult:
        """Trains on one global batch.

        Args:
            windows: each replica's share of the batch, shape (slots / replicas, M + T).
            mask_keys: each replica's share of the dropout keys, shape (slots / replicas, 2).
            number: of this update, from 1.
            learning_rate: for this update.
            stopping: whether this worker was told to stop.
            average_share: of the new weights in their average, if there is one (`components.train.loop.schedule`).
            drop_share: what the rates of dropout are multiplied by, with `drop_warmup_epochs`.
        """
        others = Inputs(tf.constant(float(stopping)), tf.constant(drop_share, tf.float32))
        inputs = (self._distribute(windows), self._distribute(mask_keys), others)
        numbers = Numbers(*(tf.constant(scalar, tf.float32) for scalar in (learning_rate, number, average_share)))
        loss, norm, targets, stops = self._step(*inputs, numbers).numpy()
        return StepResult(float(loss), float(norm), int(targets), bool(stops > 0))

    def _distribute(self, share: Share) -> tf.Tensor:
        """A value for each replica of this worker."""

        def value(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            return tf.constant(share(context.replica_id_in_sync_group, context.num_replicas_in_sync))

        return self._strategy.experimental_distribute_values_from_function(value)

    def _compute(self, windows_BS: tf.Tensor, mask_keys: tf.Tensor, others: Inputs) -> list[Gradient]:
        """The gradients of the summed loss, and in one vector the sum, the number of targets and the stop flag."""
        model = self._model
        targets_N = tf.reshape(windows_BS[:, model.memory :], [-1])
        with tf.GradientTape() as tape:
            # The lanes do not wait for each other, so TensorFlow runs them side by side.  Each has a compiled
            # function of its own: threads that start one program at the same moment can crash it (docs/decisions.md),
            # and a shared function would capture the first replica's variables.
            lanes = zip(tf.split(windows_BS, self._lanes), tf.split(mask_keys, self._lanes), strict=True)
            states = [tf.function(self._output_states, jit_compile=True)(*lane, others.drop_share) for lane in lanes]
            states_NF = tf.cast(tf.concat(states, axis=0), self._output_dtype)
            outputs = [states_NF, *(tf.convert_to_tensor(weight) for weight in self._output_weights)]
        loss_sum, output_gradients = self._summed_nll(*outputs, targets_N=targets_N)
        gradients = tape.gradient(outputs, self._weights, output_gradients=output_gradients)
        count = tf.math.count_nonzero(targets_N != PAD, dtype=tf.float32)
        return [*gradients, tf.stack([loss_sum, count, others.stopping])]

    def _output_states(self, windows_BS: tf.Tensor, mask_keys: tf.Tensor, drop_share: tf.Tensor) -> tf.Tensor:
        """states_NF of all targets in order; zeros where the target is padding."""
        share = drop_share if self._config.drop_warmup_epochs else 1.0  # a constant is no input of the masks
        drop = make_drop(self._config, mask_keys, self._model.vocabulary_size, share)
        states_BTF = self._model.output_states(windows_BS[:, :-1], drop)
        real_BT1 = windows_BS[:, self._model.memory :, None] != PAD
        return tf.reshape(tf.where(real_BT1, states_BTF, 0.0), [-1, states_BTF.shape[-1]])

    def _dense(self, parts: list[Gradient]) -> list[tf.Tensor]:
        """The parts with every gradient as a tensor of its weight's shape."""
        *gradients, totals = parts
        pairs = zip(gradients, self._weights, strict=True)
        return [*(_dense(gradient, weight.shape) for gradient, weight in pairs), totals]

    def _pack(self, parts: list[Gradient]) -> list[Gradient]:
        """The large parts as they are, each of which is summed as soon as it is ready, and the small ones in one."""
        *gradients, totals = parts
        replicas = self._strategy.num_replicas_in_sync
        large, small = [], []
        for gradient, weight in zip(gradients, self._weights, strict=True):
            if weight.shape.num_elements() < _LARGE:
                small.append(tf.reshape(_dense(gradient, weight.shape), [-1]))
            else:
                large.append(gradient if _rows_pay(gradient, weight, replicas) else _dense(gradient, weight.shape))
        return [*large, tf.concat([*small, totals], axis=0)]

    def _unpack(self, packed: list[Gradient]) -> list[tf.Tensor]:
        """The inverse of `_pack`, dense."""
        *large, flat = packed
        sizes = [weight.shape.num_elements() for weight in self._weights]
        small = iter(tf.split(flat, [*(size for size in sizes if size < _LARGE), 3]))
        whole = iter(large)
        parts = [next(whole if size >= _LARGE else small) for size in sizes]
        return self._dense([*parts, next(small)])

    def _update(
        self,
        weights: list[tf.Variable],
        slots: list[tf.Variable],
        parts: list[tf.Tensor],
        square: tf.Tensor,
        numbers: Numbers,
    ) -> tf.Tensor:
        """Divides, clips and applies the summed gradients to one replica's variables; loss, norm, targets, stops."""
        *sums, totals = parts
        loss_sum, count, stops = tf.unstack(totals)
        targets = tf.maximum(count, 1.0)  # a batch of padding alone changes nothing
        norm = tf.sqrt(square) / targets
        # Not tf.clip_by_global_norm: it turns every gradient into NaN where the norm is not finite.
        scale = tf.minimum(1.0, self._clip_norm / norm) / targets if self._clip_norm else 1.0 / targets
        kept = iter(slots)
        for weight, gradient_sum, optimizer in zip(weights, sums, self._optimizers, strict=True):
            own = list(itertools.islice(kept, optimizer.slots))
            new_weight, new_slots = optimizer.update(weight, scale * gradient_sum, own, numbers)
            weight.assign(new_weight)
            for slot, new_slot in zip(own, new_slots, strict=True):
                slot.assign(new_slot)
        return tf.stack([loss_sum / targets, norm, count, stops])

    def _compute_and_update(
        self, windows: tf.Tensor, mask_keys: tf.Tensor, others: Inputs, numbers: Numbers
    ) -> tf.Tensor:
        ((weights, slots),) = self._local_replicas()
        (own_windows,) = self._strategy.experimental_local_results(windows)
        (own_keys,) = self._strategy.experimental_local_results(mask_keys)
        parts = self._dense(self._compute(own_windows, own_keys, others))
        return self._compiled_update(weights, slots, parts, _square(parts[:-1]), numbers)

    def _compute_exchange_update(
        self, windows: tf.Tensor, mask_keys: tf.Tensor, others: Inputs, numbers: Numbers
    ) -> tf.Tensor:
        parts = self.exchange(self._strategy.run(self.packed_gradients, args=(windows, mask_keys, others)))
        square = _square(parts[:-1])
        # Every replica makes the same update from the same sums, so that they stay equal.
        results = []
        for weights, slots in self._local_replicas():
            with tf.device(weights[0].device):
                results.append(self._compiled_update(weights, slots, parts, square, numbers))
        return results[0]

    def packed_gradients(self, windows_BS: tf.Tensor, mask_keys: tf.Tensor, others: Inputs) -> list[Gradient]:
        """What one replica adds to the exchange, large parts first."""
        return self._pack(self._compute(windows_BS, mask_keys, others))

    def exchange(self, per_replica: list[Gradient]) -> list[tf.Tensor]:
        """The sums over all replicas of all workers: gradients in the order of the weights, then the totals."""
        # The last first: TensorFlow keeps to the order, and the output table's gradient is ready before the others.
        *large, small = per_replica
        order = [*reversed(large), small]
        *large, small = (self._strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None) for part in order)
        return self._unpack([*reversed(large), small])

    @property
    def averages(self) -> list[tf.Variable]:
        """The average of each trainable weight, in the model's order; empty where none is kept."""
        if self._config.average == "none":
            return []
        ends = itertools.accumulate(optimizer.slots for optimizer in self._optimizers)
        return [self.slots[end - 1] for end in ends]

    def _local_replicas(self) -> list[tuple[list[tf.Variable], list[tf.Variable]]]:
        """Weights and slots of each replica of this worker, as the plain variables behind the mirrored ones."""
        parts = [
            [self._strategy.experimental_local_results(variable) for variable in variables]
            for variables in (self._weights, self.slots)
        ]
        replicas = range(len(parts[0][0]))
        return [([part[i] for part in parts[0]], [part[i] for part in parts[1]]) for i in replicas]


def lane_count(sequences: int, threads: int) -> int:
    """The most lanes of equal size that `sequences` can be cut into for `threads` cores."""
    return max(lanes for lanes in range(1, threads + 1) if sequences % lanes == 0)


def _dense(gradient: Gradient, shape: tf.TensorShape) -> tf.Tensor:
    """A gradient as a tensor of a shape that TensorFlow knows."""
    return tf.reshape(gradient, shape)


def _rows_pay(gradient: Gradient, table: tf.Variable, replicas: int) -> bool:
    """Whether handing rows round costs less than summing the table.

    With W replicas a ring hands each of them (W - 1) times the rows of one, and 2 (W - 1) / W times a summed tensor.
    """
    return isinstance(gradient, tf.IndexedSlices) and replicas * gradient.values.shape[0] < 2 * table.shape[0]


def _square(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Sum of all squares, read once; XLA writes them all down before it adds them up."""
    return 2.0 * tf.add_n([tf.nn.l2_loss(tensor) for tensor in tensors])
