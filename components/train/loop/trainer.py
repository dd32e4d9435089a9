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
from components.train.loop.length import UNKNOWN, TimedLength, validation_steps
from components.train.loop.schedule import average_share, drop_share, learning_rate
from components.train.loop.step import StepResult, TrainStep
from components.train.loop.validation import Validation
from components.train.report.curve import CurvePainter
from components.train.report.log import TrainingLog
from components.train.state import checkpoint
from components.train.state.checkpoint import BESIDE, CURVE_FILE, LOG_FILE, Arrays, Checkpoint, TrainState
from components.train.state.stored import Sender
from components.train.state.weights import arrays, build_model, named, set_weights
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.streams import TokenStream
from hopline.runtime.errors import DivergedError, InternalError, PreemptedError
from hopline.runtime.progress import Progress

# The authors' program anneals unless validation cost falls below this share of the one before.
IMPROVEMENT = 0.9999

_LOWER = "lower train.learning_rate or train.clip_norm"


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
        on_gpu: see `TrainStep`.
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
        on_gpu: bool = False,
        sender: Sender | None = None,
    ) -> None:
        self._strategy = strategy
        self._chief = chief
        self._scratch = scratch
        self._sender = sender
        self._config = config
        self._pretrained = model_config.pretrained
        self._batches = Batches(train, config, model_config.memory)
        with strategy.scope():
            self._model = build_model(model_config, vocabulary_size, config)
        steps_per_epoch = self._batches.steps_per_epoch
        self._train_step = TrainStep(strategy, self._model, config, lanes, steps_per_epoch, on_gpu=on_gpu)
        self._validation = Validation(strategy, self._model, valid, config.targets, quiet=not chief)
        self._state = TrainState(learning_rate=config.learning_rate)
        self._steps = UNKNOWN if config.minutes else config.most_steps(self._batches.steps_per_epoch)
        self._best: Arrays = {}
        self._painter = CurvePainter(scratch / CURVE_FILE)

    def run(self, stopping: Callable[[], bool]) -> None:
        """Trains until the recipe is done, from the newest checkpoint if there is one.

        Raises:
            DivergedError: the loss, the gradient or the validation loss is not finite.
            PreemptedError: `stopping` turned true here or on another worker; everything is saved.
        """
        self._restore()
        state = self._state
        length = self._length()
        log = TrainingLog(self._scratch / LOG_FILE, state.step) if self._chief else None
        if self._chief:
            most = "as many as fit" if length else f"at most {self._steps:,} steps"
            print(f"train: {self._batches.steps_per_epoch:,} steps an epoch, {most}", file=sys.stderr)
        progress = self._progress()
        progress.update(state.step * self._targets_per_step)
        saved_at = began = time.monotonic()
        while not state.finished:
            started, rate = time.monotonic(), self._learning_rate
            result = self._train_step(
                self._windows,
                self._mask_keys,
                number=state.step + 1,
                learning_rate=rate,
                stopping=stopping(),
                average_share=average_share(self._config, state.step, self._steps),
                drop_share=drop_share(self._config, state.step, self._batches.steps_per_epoch),
            )
            self._require_finite(result)
            state.step += 1
            seconds = time.monotonic() - started
            if log:
                log.write(
                    step=state.step, epoch=state.step / self._batches.steps_per_epoch, loss=result.loss,
                    gradient_norm=result.gradient_norm, learning_rate=rate,
                    targets_per_second=result.targets / seconds,
                )  # fmt: skip
            if length and (end := length.after_step(seconds, time.monotonic() - began)):
                self._end_at(end)
                length, progress = None, self._progress()
            progress.update(state.step * self._targets_per_step, loss=result.loss, lr=rate)
            ended = state.step % self._batches.steps_per_epoch == 0 or state.step == self._steps
            if ended:
                self._end_epoch(log, last=state.step == self._steps)
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
    def _learning_rate(self) -> float:
        """Of the next update."""
        return learning_rate(self._config, self._state.learning_rate, self._state.step, self._steps)

    @property
    def _targets_per_step(self) -> int:
        return self._config.sequences * self._config.targets

    def _length(self) -> TimedLength | None:
        """What measures how many steps fit into `train.minutes`; None where the last step is known."""
        if self._steps != UNKNOWN:
            return None
        in_steps = validation_steps(
            self._validation.targets,
            self._batches.steps_per_epoch * self._targets_per_step,
            averages=self._config.average != "none",
        )
        return TimedLength(self._strategy, self._config.minutes, self._state.step, in_steps)

    def _end_at(self, step: int) -> None:
        """Has training end there; a checkpoint remembers it, so that a run that starts again ends at the same step."""
        self._steps = self._state.end = min(step, self._config.max_steps or step)
        if self._chief:
            epochs = self._steps / self._batches.steps_per_epoch
            print(
                f"train: {self._steps:,} steps, {epochs:,.1f} epochs, fit into {self._config.minutes:g} minutes",
                file=sys.stderr,
            )

    def _progress(self) -> Progress:
        steps = 0 if self._steps == UNKNOWN else self._steps
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
            remedy=_LOWER,
        )

    def _end_epoch(self, log: TrainingLog | None, *, last: bool) -> None:
        """Validates, keeps the best weights, anneals the learning rate and decides whether training is over."""
        state, config = self._state, self._config
        losses = {"valid_loss": self._validated(self._weights(), averaged=False)}
        if self._average_differs:
            losses["average_valid_loss"] = self._validate_average()
        if config.schedule == "plateau":
            loss = losses["valid_loss"]
            if state.valid_loss is not None and loss > IMPROVEMENT * state.valid_loss:
                state.learning_rate /= config.anneal
            if state.learning_rate < config.min_learning_rate:
                state.finished = f"the learning rate fell below {config.min_learning_rate}"
        state.valid_loss = losses["valid_loss"]
        if last:
            state.finished = f"{state.step:,} steps are done"
        if log:
            epoch = state.step / self._batches.steps_per_epoch
            log.write(step=state.step, epoch=epoch, **losses, learning_rate=self._learning_rate)

    @property
    def _average_differs(self) -> bool:
        """Whether the weights have an average that is not the weights themselves."""
        last_share = average_share(self._config, max(0, self._state.step - 1), self._steps)
        return self._config.average != "none" and last_share < 1

    def _validate_average(self) -> float:
        """The validation loss of the averaged weights; the model has its own weights again when it returns."""
        own = self._weights()
        names = {id(variable): name for name, variable in named("model", self._model.variables)}
        pairs = zip(self._model.trainable_variables, self._train_step.averages, strict=True)
        averages = own | {names[id(variable)]: keras.ops.convert_to_numpy(average) for variable, average in pairs}
        set_weights(self._model, averages)
        try:
            return self._validated(averages, averaged=True)
        finally:
            set_weights(self._model, own)

    def _validated(self, weights: Arrays, *, averaged: bool) -> float:
        """The validation loss of `weights`, which the model has; they are kept if none was less."""
        state = self._state
        loss = self._validation.loss("validating the average" if averaged else "validating")
        if not math.isfinite(loss):
            raise DivergedError(
                f"the validation loss of the {'averaged ' if averaged else ''}weights is {loss} after step "
                f"{state.step:,}; it must be finite",
                remedy=_LOWER,
            )
        if state.best_valid_loss is None or loss < state.best_valid_loss:
            state.best_valid_loss, state.best_is_average = loss, averaged
            self._best = weights
        return loss

    def _save(self, log: TrainingLog | None) -> None:
        if not log:
            return
        log.flush()
        # Before the checkpoint: a finished one promises that all else is there.
        self._painter.draw(log.curve(), wait=bool(self._state.finished))
        current = {**self._weights(), **arrays("slot", self._train_step.slots)}
        saved = Checkpoint(self._state, current, self._best)
        beside = [self._scratch / name for name in BESIDE] if self._sender else []
        directory = checkpoint.save(self._scratch / checkpoint.FOLDER, saved, beside)
        if self._sender:
            self._sender.add(directory)

    def _restore(self) -> None:
        """Continues from the newest sound checkpoint, if there is one; one of step 0 has given weights."""
        found = checkpoint.load_newest(self._scratch / checkpoint.FOLDER)
        if found is not None:
            self._state, self._best = found.state, found.best
            self._steps = self._state.end or self._steps
            set_weights(self._model, found.current)
            for name, variable in named("slot", self._train_step.slots):
                variable.assign(found.current[name])
            if self._chief:
                where = (
                    f"continuing after step {self._state.step:,}"
                    if self._state.step
                    else "starting with the weights of a champion or of word vectors"
                )
                print(f"train: {where}", file=sys.stderr)
        elif self._config.start == "champion" or self._pretrained:
            raise InternalError(
                f"{self._scratch / checkpoint.FOLDER} holds no sound checkpoint, not even the one to start from",
                remedy="run the train step again: it takes those weights anew",
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

    def _weights(self) -> dict[str, npt.NDArray[np.generic]]:
        return arrays("model", self._model.variables)
