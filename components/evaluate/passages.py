"""Where two models differ most: passages of the split, with the difference at each word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluate.bootstrap import Floats
from hopline.schema import EOS

LONGEST = 40  # tokens of a passage; a longer line is cut
SHOWN = 4  # passages for better and as many for worse


@dataclass(frozen=True)
class Passage:
    """A line, or a part of a long one.

    Attributes:
        source: the file that it stands in.
        words: its tokens as written.
        differences: challenger minus champion at each, in nats; below 0 the challenger is better.
    """

    source: str
    words: tuple[str, ...]
    differences: tuple[float, ...]


def most_different(
    difference: Floats,
    ids: npt.NDArray[np.integer],
    words: Sequence[str],
    lengths: npt.NDArray[np.integer],
    sources: Sequence[str],
) -> tuple[list[Passage], list[Passage]]:
    """The passages where the challenger gains most, and where it loses most; neither holds one of the other kind.

    Args:
        difference: shape (N,), challenger minus champion in nats.
        ids: shape (N,).
        words: N tokens as written.
        lengths: shape (documents,), tokens of each.
        sources: the file of each document.
    """
    starts = _starts(ids, lengths)
    ends = np.append(starts[1:], len(ids))
    sums = np.add.reduceat(difference, starts)
    documents = np.repeat(np.arange(len(lengths)), lengths)[starts]
    order = np.argsort(sums, kind="stable")

    def passage(place: int) -> Passage:
        part = slice(int(starts[place]), int(ends[place]))
        return Passage(sources[documents[place]], tuple(words[part]), tuple(difference[part].tolist()))

    better = [passage(place) for place in order[:SHOWN] if sums[place] < 0]
    worse = [passage(place) for place in order[::-1][:SHOWN] if sums[place] > 0]
    return better, worse


def _starts(ids: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Where passages begin: at documents, after `<eos>`, and every `LONGEST` tokens of a line."""
    first = np.zeros(len(ids), bool)
    first[0] = True
    first[1:] = ids[:-1] == EOS
    begins = np.cumsum(lengths) - lengths
    first[begins[begins < len(ids)]] = True
    lines = np.flatnonzero(first)
    within = np.arange(len(ids)) - np.repeat(lines, np.diff(lines, append=len(ids)))
    return np.flatnonzero(within % LONGEST == 0)
