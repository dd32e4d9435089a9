"""Where the trained model looks: average attention over memory positions for each hop (the paper's figure 3)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.train.report.plots import plot_attention
from hopline.model.network import MemoryNetwork
from hopline.model.scoring import SCORING_SEQUENCES
from hopline.model.streams import TokenStream
from hopline.schema import PAD
from hopline.store import folders

ATTENTION_FILE = "attention.json"
ATTENTION_PICTURE = "attention.png"
SAMPLE = 20_000  # targets; the mean of so many moves by less than the picture's line width

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Attention:
    """Mean attention of each hop.

    Attributes:
        means: mean probability of each slot, and of all heads, shape (K, S).  Column d - 1 is the slot of the word d
            before the target, with n-gram slots the one that ends at it: column 0 is that of the word just before the
            target.  Every row sums to 1, unless no target sees any slot.
        targets: how many targets the mean is over.
        slots: how many slots each of these targets sees; S where there are such targets.
    """

    means: Floats
    targets: int
    slots: int


def mean_attention(model: MemoryNetwork, stream: TokenStream, targets: int, sample: int = SAMPLE) -> Attention:
    """Averages what the model reads over targets that are spread evenly over the stream.

    Only targets with full memory count, those at least S words into their document, S being the slots of a target:
    with others, the near slots would gain from every target that has no far ones.  If no target has full memory, those
    with the most count.

    Args:
        model: the trained model.
        stream: what to read, usually the validation split.
        targets: T, consecutive targets computed together; it does not change the numbers.
        sample: about how many targets at most; whole windows of T are taken, one at least.
    """
    slots_N = _visible_slots(stream, model.slots)
    slots = int(slots_N.max(initial=0))
    counted_N = slots_N == slots
    starts = np.arange(0, len(counted_N), targets)
    starts = starts[np.logical_or.reduceat(counted_N, starts)]
    picked = np.linspace(0, len(starts) - 1, min(len(starts), max(1, sample // targets))).round().astype(np.int64)
    starts = starts[picked]

    compiled = tf.function(_attention_sums, jit_compile=True)
    sums_KS, total = np.zeros((model.hops, model.slots)), 0
    for first in range(0, len(starts), SCORING_SEQUENCES):
        # The last group is filled up with windows past the end, of padding alone: one shape, compiled once.
        group = np.full(SCORING_SEQUENCES, len(counted_N) + model.memory)
        part = starts[first : first + SCORING_SEQUENCES]
        group[: len(part)] = part
        index_BT = group[:, None] + np.arange(targets)
        inside_BT = index_BT < len(counted_N)
        counted_BT = inside_BT & counted_N[np.where(inside_BT, index_BT, 0)]
        tokens_BL = stream.windows(group, model.memory, targets)[:, :-1]
        sums_KS += compiled(model, tokens_BL, counted_BT).numpy()
        total += int(counted_BT.sum())
    return Attention(sums_KS[:, ::-1] / total, total, slots)


def write_attention(model: MemoryNetwork, stream: TokenStream, targets: int, folder: Path) -> None:
    """Writes `attention.json` and `attention.png` into `folder`, see `mean_attention`."""
    attention = mean_attention(model, stream, targets)
    hops = [
        {"hop": hop, "mean_probability": [round(float(value), 8) for value in row]}
        for hop, row in enumerate(attention.means, start=1)
    ]
    numbers = {
        "split": stream.name, "targets": attention.targets, "memory": model.memory, "slots_seen": attention.slots,
        "heads": model.heads, "slot_words": model.slot_words,
        "first_slot": "the word just before the target", "hops": hops,
    }  # fmt: skip
    folders.write_json(folder / ATTENTION_FILE, numbers)
    heads = f" and {model.heads} heads" if model.heads > 1 else ""
    title = f"Mean attention over {attention.targets:,} targets of the split “{stream.name}”{heads}"
    plot_attention(attention.means[:, : max(1, attention.slots)], title, folder / ATTENTION_PICTURE)


def _visible_slots(stream: TokenStream, slots: int) -> npt.NDArray[np.int64]:
    """How many slots each position of the stream sees as a target, shape (N,); -1 where it is padding."""
    position = np.arange(len(stream.ids))
    padding = stream.ids == PAD
    last_pad = np.maximum.accumulate(np.where(padding, position, -1))
    return np.where(padding, -1, np.minimum(position - last_pad - 1, slots))


def _attention_sums(model: MemoryNetwork, tokens_BL: tf.Tensor, counted_BT: tf.Tensor) -> tf.Tensor:
    """Sum of every hop's probabilities over the counted targets, (K, S)."""
    counted_BT1 = tf.cast(counted_BT, tf.float32)[:, :, None]
    return tf.stack([tf.reduce_sum(probs_BTM * counted_BT1, axis=(0, 1)) for probs_BTM in model.attention(tokens_BL)])
