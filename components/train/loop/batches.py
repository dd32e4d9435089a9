"""Which windows make up a global batch: a pure function of seed and step.

Nothing is consumed, so a restarted run continues with the very batch it would have seen, and every worker finds
its own slots of the batch without asking the others.
"""

import numpy as np
import numpy.typing as npt

from hopline.config.train import TrainConfig
from hopline.model.streams import TokenStream


class Batches:
    """The global batches of a training run.

    `sampling = "random"` draws every position anew and with replacement, as the paper's authors did; every token is
    equally likely to be a target.  "shuffled" cuts the stream into windows side by side, from a new random offset and
    in a new random order each epoch: every token is a target once an epoch.

    Args:
        stream: the training split.
        config: `seed`, `sampling`, `sequences` (the global batch's slots) and `targets` (T).
        memory: M.
    """

    def __init__(self, stream: TokenStream, config: TrainConfig, memory: int) -> None:
        self._stream = stream
        self._config = config
        self._memory = memory
        self.steps_per_epoch = config.steps_per_epoch(stream.targets, len(stream.ids) - stream.targets)
        self._shuffled = -1, np.zeros(0, np.int64)  # an epoch, and the starts of its windows

    def starts(self, step: int) -> npt.NDArray[np.int64]:
        """The first target's position of every slot, shape (sequences,), for the batch that makes step + 1."""
        slots, targets = self._config.sequences, self._config.targets
        if self._config.sampling == "random":
            # From T - 1 before the stream to its end, so that tokens near the ends are not drawn more rarely.
            return self._random(step).integers(1 - targets, len(self._stream.ids), size=slots)
        epoch, batch = divmod(step, self.steps_per_epoch)
        return self._epoch_starts(epoch)[batch * slots : (batch + 1) * slots]

    def windows(self, step: int, first: int, count: int) -> npt.NDArray[np.int32]:
        """The windows of slots first .. first + count - 1, shape (count, M + T)."""
        starts = self.starts(step)[first : first + count]
        return self._stream.windows(starts, self._memory, self._config.targets)

    def mask_keys(self, step: int, first: int, count: int) -> npt.NDArray[np.int32]:
        """Keys of the dropout masks of slots first .. first + count - 1, shape (count, 2)."""
        # Below 2^30: what names place and hop is added to them (`components.train.loop.dropout`).
        shape = (self._config.sequences, 2)
        keys = self._random(step, purpose=1).integers(1 << 30, size=shape, dtype=np.int32)
        return keys[first : first + count]

    def _epoch_starts(self, epoch: int) -> npt.NDArray[np.int64]:
        """The starts of all windows of an epoch in their order; the latest epoch's are kept, for they take long."""
        if epoch != self._shuffled[0]:
            random = self._random(epoch)
            offset = int(random.integers(self._config.targets))
            order = random.permutation(self.steps_per_epoch * self._config.sequences)
            self._shuffled = epoch, order * self._config.targets - offset  # those beyond the end hold padding alone
        return self._shuffled[1]

    def _random(self, counter: int, purpose: int = 0) -> np.random.Generator:
        """Numbers of their own for each counter and purpose: Philox counts up from 2^192 times the purpose."""
        return np.random.Generator(np.random.Philox(key=[self._config.seed, counter], counter=[0, 0, 0, purpose]))
