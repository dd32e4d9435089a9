"""How long documents are: a histogram of bounded size, the longest by name, and those far beyond the others.

A document is far beyond the others if it has more than ten times the median's tokens, and more than the upper quartile
times the third power of the quartiles' ratio: on a logarithmic scale, where lengths of documents are about normal,
that is Tukey's outer fence (Exploratory Data Analysis, 1977), three times the quartiles' distance above the upper one.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

Named = tuple[int, str]  # tokens of a document and its name

NAMED = 10  # documents that are named
_PER_OCTAVE = 4  # bins of the histogram: each is 19% wide
_FENCE, _TIMES_MEDIAN = 3, 10
_LEAST_DOCUMENTS = 20  # fewer have no others that one could be beyond


def longest(documents: Iterable[Named]) -> list[Named]:
    """The longest documents, in order, which do not depend on how they were grouped before."""
    return heapq.nlargest(NAMED, documents)


def histogram(lengths: Counter[int]) -> list[tuple[int, int]]:
    """The least length and the number of documents of each bin that has any; lengths are positive."""
    bins: Counter[int] = Counter()
    for length, count in lengths.items():
        bins[math.floor(_PER_OCTAVE * math.log2(length))] += count
    return [(math.ceil(2 ** (number / _PER_OCTAVE)), count) for number, count in sorted(bins.items())]


def quantile(lengths: Counter[int], share: float) -> int:
    """The smallest length that reaches the quantile: always one that occurs."""
    values = np.array(sorted(lengths))
    reached = np.cumsum([lengths[value] for value in values.tolist()]) / lengths.total()
    return int(values[np.searchsorted(reached, share)])


def outliers(lengths: Counter[int], named: list[Named]) -> dict[str, Any]:
    """The documents far beyond the others; {} where there are none.

    Args:
        lengths: how many documents have so many tokens.
        named: the longest documents.
    """
    if lengths.total() < _LEAST_DOCUMENTS:
        return {}
    lower, median, upper = (quantile(lengths, share) for share in (0.25, 0.5, 0.75))
    limit = max(_TIMES_MEDIAN * median, math.ceil(upper * (upper / lower) ** _FENCE))
    beyond = {length: count for length, count in lengths.items() if length > limit}
    if not beyond:
        return {}
    return {
        "documents": sum(beyond.values()),
        "tokens": sum(length * count for length, count in beyond.items()),
        "limit": limit,
        "median": median,
        "longest": [{"document": name, "tokens": length} for length, name in named if length > limit],
    }
