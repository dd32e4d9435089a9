"""Whether what the model gives a probability of p occurs in a share p of the places."""

from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hopline.model.streams import TokenStream
from hopline.schema import PAD

SAMPLED_TARGETS = 4_096
_SEQUENCES, _TARGETS = 8, 16  # 128 distributions at once bound the memory, whatever the vocabulary
_EDGES = np.concatenate([np.logspace(-4, -1, 10), np.arange(0.2, 1.01, 0.1)])


@dataclass(frozen=True)
class Bin:
    """All pairs of a place in the text and a word whose probability is in one range.

    Attributes:
        predicted: their mean probability.
        observed: the share of them where that word is the next one.
        pairs: how many there are.
    """

    predicted: float
    observed: float
    pairs: int


def calibration(network: keras.Model, stream: TokenStream) -> list[Bin]:
    """The bins that hold any pair, of `SAMPLED_TARGETS` places spread evenly over the stream; none below 0.0001."""
    distributions = tf.function(lambda windows: tf.nn.softmax(network(windows[:, :-1])))
    totals = np.zeros((3, len(_EDGES) + 1))
    for windows in _samples(stream, network.memory):
        targets = windows[:, network.memory :]
        real = targets != PAD
        totals += _totals(distributions(windows).numpy()[real], targets[real])
    pairs, predicted, observed = totals[:, 1:-1]
    return [
        Bin(float(p / n), float(hits / n), int(n)) for n, p, hits in zip(pairs, predicted, observed, strict=True) if n
    ]


def _samples(stream: TokenStream, memory: int) -> list[npt.NDArray[np.int32]]:
    windows = max(1, min(SAMPLED_TARGETS, len(stream.ids)) // _TARGETS)
    starts = np.arange(windows) * len(stream.ids) // windows
    # The last batch repeats no window: starts beyond the end give padding alone.
    filled = np.full(-(-windows // _SEQUENCES) * _SEQUENCES, len(stream.ids) + memory)
    filled[:windows] = starts
    return [stream.windows(part, memory, _TARGETS) for part in filled.reshape(-1, _SEQUENCES)]


def _totals(probabilities_NV: npt.NDArray[np.float32], targets_N: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Pairs, sum of probabilities and hits by bin, shape (3, bins)."""
    size = len(_EDGES) + 1
    places = np.digitize(probabilities_NV, _EDGES)
    places[~np.isfinite(probabilities_NV)] = 0  # not shown
    pairs = np.bincount(places.ravel(), minlength=size)
    sums = np.bincount(places.ravel(), weights=np.nan_to_num(probabilities_NV).ravel(), minlength=size)
    hits = np.bincount(places[np.arange(len(targets_N)), targets_N], minlength=size)
    return np.stack([pairs, sums, hits])
