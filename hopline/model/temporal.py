"""T_A and T_C: what tells a hop how long ago the word of a slot was."""

from typing import TypeAlias

import keras
import numpy as np
import numpy.typing as npt

TIMES = ("learned", "sinusoidal", "none")
_LONGEST = 10_000.0  # so Vaswani et al.: wavelengths go from 2 pi to 2 pi times this

Encoding: TypeAlias = "keras.Variable | npt.NDArray[np.float32]"


def temporal_encodings(
    layer: keras.layers.Layer, kind: str, shape: tuple[int, int], stddev: float, words_stddev: float
) -> tuple[Encoding, Encoding]:
    """T_A and T_C for the slots of a memory, each time_ME.

    "learned" (the paper, section 4.1) makes two weights of `layer`.  "sinusoidal" is `sinusoids` for both, which nobody
    trains: words and places have the proportion that they have in a Transformer, where embedded words start with
    variance 1 and sinusoids have amplitude 1.  "none" is 0: a hop then reads a bag of words.

    Args:
        layer: the hops.
        kind: one of `TIMES`.
        shape: M and E.
        stddev: standard deviation of the normal start of the learned ones.
        words_stddev: that of embedded words, the amplitude of sinusoids.
    """
    if kind not in TIMES:
        raise ValueError(f"time is {kind!r}, but must be one of {TIMES}")
    if kind == "learned":
        # A fresh initializer each: one instance gives the same numbers every time it is called.
        starts = [keras.initializers.RandomNormal(stddev=stddev) for _ in range(2)]
        names = zip(starts, ("T_A", "T_C"), strict=True)
        key_time_ME, value_time_ME = (
            layer.add_weight(shape=shape, initializer=start, name=name) for start, name in names
        )
        return key_time_ME, value_time_ME
    constant_ME = words_stddev * sinusoids(*shape) if kind == "sinusoidal" else np.zeros(shape)
    return constant_ME.astype(np.float32), constant_ME.astype(np.float32)


def sinusoids(memory: int, width: int) -> npt.NDArray[np.float64]:
    """The encodings of Vaswani et al. 2017, section 3.5, of how many words back a slot is: 1 for the last, M the first.

    Unit 2j is sin(back / 10000^(2j / E)), and unit 2j + 1 the cosine of the same angle.
    """
    back_M1 = np.arange(memory, 0, -1)[:, None]
    unit_E = np.arange(width)
    angle_ME = back_M1 / _LONGEST ** ((unit_E - unit_E % 2) / width)
    return np.where(unit_E % 2 == 0, np.sin(angle_ME), np.cos(angle_ME))
