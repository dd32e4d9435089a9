"""What the benchmarks time: our own training step, the textbook form of it, and plain matrix products."""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from components.train.loop.batches import Batches
from components.train.loop.schedule import average_share, drop_share, learning_rate
from components.train.loop.step import TrainStep, lane_count
from components.train.state.weights import build_model
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.band import masked_softmax
from hopline.model.network import MemoryNetwork
from hopline.model.streams import TokenStream
from hopline.schema import PAD

STREAM_LENGTH = 1_000_000
CLIP_NORM, LEARNING_RATE = 50 / 128, 1.28  # of the paper's recipe


class OurStep:
    """The trainer's whole step of one worker, on random tokens by Zipf's law: batch, forward, backward, clip, update.

    Args:
        model: its shape.
        config: the recipe.
        vocabulary: V, with the padding.
        threads: compute threads, for the number of lanes on a CPU.
        device: where it runs.
    """

    def __init__(
        self,
        model: ModelConfig,
        config: TrainConfig,
        vocabulary: int,
        *,
        threads: int = 2,
        device: str = "/cpu:0",
    ) -> None:
        self.targets = config.sequences * config.targets
        self.data_seconds = 0.0
        self._config = config
        stream = TokenStream(_zipf(vocabulary), "random")
        self._batches = Batches(stream, config, model.memory)
        on_gpu = "gpu" in device.lower()
        keras.config.set_dtype_policy("mixed_bfloat16" if config.precision == "bfloat16" and on_gpu else "float32")
        strategy = tf.distribute.OneDeviceStrategy(device)
        with strategy.scope():
            network = build_model(model, vocabulary, config)
        self.parameters = network.count_params()
        lanes = 1 if on_gpu else lane_count(config.sequences, threads)
        steps_per_epoch = self._batches.steps_per_epoch
        self._steps = config.most_steps(steps_per_epoch)
        self._step = TrainStep(strategy, network, config, lanes, steps_per_epoch, on_gpu=on_gpu)
        self._number = 0

    def __call__(self) -> float:
        """One step; its loss."""
        self._number += 1
        sequences = self._config.sequences
        result = self._step(
            lambda *_: self._timed(self._batches.windows, sequences),
            lambda *_: self._timed(self._batches.mask_keys, sequences),
            number=self._number,
            learning_rate=learning_rate(self._config, self._config.learning_rate, self._number - 1, self._steps),
            stopping=False,
            average_share=average_share(self._config, self._number - 1, self._steps),
            drop_share=drop_share(self._config, self._number - 1, self._batches.steps_per_epoch),
        )
        return result.loss

    def _timed(self, source: Callable[[int, int, int], np.ndarray], sequences: int) -> np.ndarray:
        started = time.perf_counter()
        found = source(self._number, 0, sequences)
        self.data_seconds += time.perf_counter() - started
        return found


def _zipf(vocabulary: int) -> np.ndarray:
    """Words drawn so that a word's share falls with its rank: the loss of a model that learns falls too."""
    shares = 1 / np.arange(1, vocabulary)
    random = np.random.Generator(np.random.Philox(1))
    return random.choice(np.arange(1, vocabulary, dtype=np.int32), STREAM_LENGTH, p=shares / shares.sum())


class GatherStep:
    """The same step in the textbook form, as public code for this model has it: M embedded tokens for every target.

    XLA compiles the whole of it.  The tables' T_A and T_C are added once, since all hops share them.

    Args:
        model: its shape; the output is untied.
        targets: in the batch.
        vocabulary: V, with the padding.
    """

    def __init__(self, model: ModelConfig, targets: int, vocabulary: int) -> None:
        self.targets = targets
        keras.utils.set_random_seed(1)
        network = MemoryNetwork(vocabulary_size=vocabulary, **model.network())
        network.build((None, model.memory))
        random = np.random.Generator(np.random.Philox(1))
        self._windows = tf.constant(random.integers(1, vocabulary, (targets, model.memory + 1)), tf.int32)
        variables = [variable.value for variable in network.trainable_variables]

        @tf.function(jit_compile=True)
        def step(windows_BS: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(gathered_nll(network, windows_BS))
            gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), CLIP_NORM)
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.assign_sub(LEARNING_RATE * tf.convert_to_tensor(gradient))
            return loss

        self._step = step

    def __call__(self) -> float:
        """One step; its loss."""
        return float(self._step(self._windows))


def gathered_nll(model: MemoryNetwork, windows_BS: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihoods in the textbook form, one target a window (S = M + 1), on the model's weights."""
    tokens_BM, targets_B = windows_BS[:, :-1], windows_BS[:, -1]
    hop = model.hop
    keys_BME = tf.gather(model.key_table_VF.value, tokens_BM) + hop.key_time_ME.value
    values_BME = tf.gather(model.value_table_VF.value, tokens_BM) + hop.value_time_ME.value
    visible_BM = tokens_BM != PAD
    state_BE = tf.fill([tf.shape(tokens_BM)[0], model.width], 0.1)
    for _ in range(model.hops):
        probs_BM = masked_softmax(tf.einsum("be,bme->bm", state_BE, keys_BME), visible_BM)
        mapped_BE = state_BE @ hop.state_map_EE.value + tf.einsum("bm,bme->be", probs_BM, values_BME)
        half = model.width // 2
        state_BE = tf.concat([mapped_BE[:, :half], tf.nn.relu(mapped_BE[:, half:])], axis=-1)
    logits_BV = tf.matmul(state_BE, model.logit_table_VF.value, transpose_b=True)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets_B, logits=logits_BV)


class Product:
    """One matrix product, (rows x inner) times (inner x columns).

    Args:
        rows, inner, columns: its shape.
        dtype: of all three matrices.
        compiled: by XLA, or TensorFlow's own kernel.
    """

    def __init__(self, rows: int, inner: int, columns: int, dtype: tf.DType, *, compiled: bool) -> None:
        self.operations = 2 * rows * inner * columns
        self._left = tf.cast(tf.random.normal((rows, inner)), dtype)
        self._right = tf.cast(tf.random.normal((inner, columns)), dtype)
        self._product = tf.function(tf.matmul, jit_compile=compiled)

    def __call__(self) -> None:
        """Multiplies."""
        self._product(self._left, self._right)
