"""The training loop, one page: step, check, log, validate and anneal, save, stop."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.train.loop.batches import Batches
from components.train.loop.step import StepResult, TrainStep
from components.train.report.log import TrainingLog, read_log
from components.train.report.plots import plot_curve
from components.train.state import checkpoint
from components.train.state.checkpoint import BESIDE, CURVE_FILE, LOG_FILE, Arrays, Checkpoint, TrainState
from components.train.state.stored import Sender
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.network import MemoryNetwork
from hopline.model.scoring import perplexity, scoring_windows, window_nll
from hopline.model.streams import TokenStream
from hopline.runtime.errors import DivergedError, InternalError, PreemptedError
from hopline.runtime.progress import Progress
from hopline.schema import PAD

# The authors' program anneals unless validation cost falls below this share of the one before.
IMPROVEMENT = 0.9999


class Trainer:
    """Trains one model; every worker runs the same trainer, and only the chief writes.

    Args:
        strategy: a MultiWorkerMirroredStrategy.
        chief: whether this worker writes checkpoints, log and plots.
        scratch: the folder for them.
        train: the training split.
        valid: the validation split.
        vocabulary_size: V.
        model_config: the model's shape.
        config: the recipe.
        lanes: see `TrainStep`.
        sender: takes each checkpoint to where the others fetch it; None where they all see `scratch`.
    """

    def __init__(
        self,
        *,
        strategy: tf.distribute.Strategy,
        chief: bool,
        scratch: Path,
        train: TokenStream,
        valid: TokenStream,
        vocabulary_size: int,
        model_config: ModelConfig,
        config: TrainConfig,
        lanes: int = 1,
        sender: Sender | None = None,
    ) -> None:
        self._strategy = strategy
        self._chief = chief
        self._scratch = scratch
        self._sender = sender
        self._config = config
        self._valid = valid
        self._batches = Batches(train, config, model_config.memory)
        with strategy.scope():
            self._model = build_model(model_config, vocabulary_size, config)
        self._train_step = TrainStep(strategy, self._model, config, lanes)
        self._valid_sums = tf.function(self._reduce_scores)
        self._state = TrainState(learning_rate=config.learning_rate)
        self._best: Arrays = {}

    def run(self, stopping: Callable[[], bool]) -> None:
        """Trains until the recipe is done, from the newest checkpoint if there is one.

        Raises:
            DivergedError: the loss or the gradient is not finite.
            PreemptedError: `stopping` turned true here or on another worker; everything is saved.
        """
        self._restore()
        state, steps = self._state, self._config.most_steps(self._batches.steps_per_epoch)
        log = TrainingLog(self._scratch / LOG_FILE, state.step) if self._chief else None
        if self._chief:
            print(f"train: {self._batches.steps_per_epoch:,} steps an epoch, at most {steps:,} steps", file=sys.stderr)
        progress = self._progress(steps)
        progress.update(state.step * self._targets_per_step)
        saved_at = time.monotonic()
        while not state.finished:
            started = time.monotonic()
            result = self._train_step(
                self._windows,
                self._mask_keys,
                number=state.step + 1,
                learning_rate=state.learning_rate,
                stopping=stopping(),
            )
            self._require_finite(result)
            state.step += 1
            if log:
                seconds = time.monotonic() - started
                log.write(
                    step=state.step, epoch=state.step / self._batches.steps_per_epoch, loss=result.loss,
                    gradient_norm=result.gradient_norm, learning_rate=state.learning_rate,
                    targets_per_second=result.targets / seconds,
                )  # fmt: skip
            progress.update(state.step * self._targets_per_step, loss=result.loss, lr=state.learning_rate)
            ended = state.step % self._batches.steps_per_epoch == 0 or state.step == steps
            if ended:
                self._end_epoch(log, last=state.step == steps)
            if ended or result.stopping or time.monotonic() - saved_at > self._config.checkpoint_seconds:
                self._save(log)
                saved_at = time.monotonic()
            if result.stopping and not state.finished:
                raise PreemptedError(
                    f"training was told to stop after step {state.step}; it is saved",
                    remedy="run the same command again to continue",
                )
        if log:
            log.close()

    @property
    def _targets_per_step(self) -> int:
        return self._config.sequences * self._config.targets

    def _progress(self, steps: int) -> Progress:
        total, done = steps * self._targets_per_step, self._state.step * self._targets_per_step
        return Progress("train", total, "targets", done=done, quiet=not self._chief)

    def _windows(self, replica: int, replicas: int) -> npt.NDArray[np.int32]:
        """Replica r of R owns the r-th of R equal ranges of the global batch's slots."""
        share = self._config.sequences // replicas
        return self._batches.windows(self._state.step, replica * share, share)

    def _mask_keys(self, replica: int, replicas: int) -> npt.NDArray[np.int32]:
        """The dropout keys of the same slots."""
        share = self._config.sequences // replicas
        return self._batches.mask_keys(self._state.step, replica * share, share)

    def _require_finite(self, result: StepResult) -> None:
        if math.isfinite(result.loss) and math.isfinite(result.gradient_norm):
            return
        starts = ", ".join(str(start) for start in self._batches.starts(self._state.step)[:4])
        raise DivergedError(
            f"the loss is {result.loss} and the gradient's norm {result.gradient_norm} at step {self._state.step + 1}, "
            f"on the windows at {starts}, ... of the training stream; both must be finite",
            remedy="lower train.learning_rate or train.clip_norm",
        )

    def _end_epoch(self, log: TrainingLog | None, *, last: bool) -> None:
        """Validates, keeps the best weights, anneals the learning rate and decides whether training is over."""
        state, config = self._state, self._config
        loss = self._validate()
        if state.best_valid_loss is None or loss < state.best_valid_loss:
            state.best_valid_loss = loss
            self._best = self._weights()
        if state.valid_loss is not None and loss > IMPROVEMENT * state.valid_loss:
            state.learning_rate /= config.anneal
        state.valid_loss = loss
        if last:
            state.finished = f"{state.step:,} steps are done"
        elif state.learning_rate < config.min_learning_rate:
            state.finished = f"the learning rate fell below {config.min_learning_rate}"
        if log:
            epoch = state.step / self._batches.steps_per_epoch
            log.write(step=state.step, epoch=epoch, valid_loss=loss, learning_rate=state.learning_rate)

    def _validate(self) -> float:
        """Mean negative log-likelihood over the validation split in nats; the workers share the windows."""
        targets = self._config.targets
        replicas = self._strategy.num_replicas_in_sync
        progress = Progress("train", self._valid.targets, "tokens", phase="validating", quiet=not self._chief)
        batches = list(scoring_windows(self._valid, self._model.memory, targets))
        total, count = 0.0, 0
        for first in range(0, len(batches), replicas):
            sums, counts = self._score(batches[first : first + replicas])
            total, count = total + sums, count + counts
            progress.update(count, perplexity=perplexity(total / count))
        return total / count

    def _score(self, batches: list[npt.NDArray[np.int32]]) -> tuple[float, int]:
        """Sum of negative log-likelihoods and number of targets over one batch per replica."""

        def value(context: tf.distribute.experimental.ValueContext) -> tf.Tensor:
            index = context.replica_id_in_sync_group
            return tf.constant(batches[index] if index < len(batches) else np.full_like(batches[0], PAD))

        windows = self._strategy.experimental_distribute_values_from_function(value)
        total, count = self._valid_sums(windows)
        return float(total), int(count)

    def _replica_scores(self, windows_BS: tf.Tensor) -> tf.Tensor:
        # Traced once for each replica, and each with a function of its own (see `TrainStep`).
        nll_BT = tf.function(window_nll, jit_compile=True)(self._model, windows_BS)
        count = tf.math.count_nonzero(windows_BS[:, self._model.memory :] != PAD, dtype=tf.float64)
        return tf.stack([tf.reduce_sum(tf.cast(nll_BT, tf.float64)), count])

    def _reduce_scores(self, windows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        per_replica = self._strategy.run(self._replica_scores, args=(windows,))
        return tf.unstack(self._strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None))

    def _save(self, log: TrainingLog | None) -> None:
        if not log:
            return
        log.flush()
        # Before the checkpoint: a finished one promises that all else is there.
        plot_curve(list(read_log(self._scratch / LOG_FILE)), self._scratch / CURVE_FILE)
        current = {**self._weights(), **arrays("slot", self._train_step.slots)}
        saved = Checkpoint(self._state, current, self._best)
        beside = [self._scratch / name for name in BESIDE] if self._sender else []
        directory = checkpoint.save(self._scratch / checkpoint.FOLDER, saved, beside)
        if self._sender:
            self._sender.add(directory)

    def _restore(self) -> None:
        """Continues from the newest sound checkpoint, if there is one; one of step 0 has a promoted model's weights."""
        found = checkpoint.load_newest(self._scratch / checkpoint.FOLDER)
        if found is not None:
            self._state, self._best = found.state, found.best
            set_weights(self._model, found.current)
            for name, variable in _named("slot", self._train_step.slots):
                variable.assign(found.current[name])
            if self._chief:
                where = (
                    f"continuing after step {self._state.step:,}"
                    if self._state.step
                    else "starting with a champion's weights"
                )
                print(f"train: {where}", file=sys.stderr)
        elif self._config.start == "champion":
            raise InternalError(
                f"{self._scratch / checkpoint.FOLDER} holds no sound checkpoint, not even the one to start from",
                remedy="run the train step again: it takes the champion's weights anew",
            )
        self._require_one_start()

    def _require_one_start(self) -> None:
        """Workers that read different checkpoints would train on together, and the sums would be nonsense."""
        step = tf.constant([self._state.step], tf.int64)
        per_replica = self._strategy.experimental_distribute_values_from_function(lambda context: step)
        steps = sorted(set(self._strategy.gather(per_replica, axis=0).numpy().tolist()))
        if len(steps) > 1:
            raise InternalError(
                f"the workers continue from different checkpoints, of the steps {steps}",
                remedy=f"see to it that all workers read and write the same {self._scratch}",
            )

    def _weights(self) -> Arrays:
        return arrays("model", self._model.variables)


def build_model(model_config: ModelConfig, vocabulary_size: int, config: TrainConfig) -> MemoryNetwork:
    """The model at its start, built; weights are a function of `config.seed`.  Set the precision before."""
    keras.utils.set_random_seed(config.seed)
    model = MemoryNetwork(vocabulary_size=vocabulary_size, name="memory_network", **model_config.to_dict())
    model.build((None, model_config.memory + config.targets - 1))
    return model


def set_weights(model: MemoryNetwork, weights: Arrays) -> None:
    """Puts a checkpoint's weights into the model."""
    for name, variable in _named("model", model.variables):
        variable.assign(weights[name])


def _named(prefix: str, variables: list[keras.Variable]) -> list[tuple[str, keras.Variable]]:
    return [(f"{prefix}.{index:03}", variable) for index, variable in enumerate(variables)]


def arrays(prefix: str, variables: list[keras.Variable]) -> Arrays:
    """The variables as a checkpoint has them, "model" or "slot"."""
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in _named(prefix, variables)}
