"""Interpolated modified Kneser-Ney n-grams (Chen & Goodman, 1998, section 3), in vectorised NumPy.

Notation: V types of which `PAD` is never predicted; c(h w) how often the k-gram of history h and word w occurs;
N_r(h) how many words follow h exactly r times, N_3+(h) three times or more.  An n-gram model is, for k = n to 1,

    p_k(w | h) = max(c_k(h w) - D(c_k(h w)), 0) / sum_w c_k(h w)  +  g(h) p_{k-1}(w | h without its first word)
    g(h)       = (D_1 N_1(h) + D_2 N_2(h) + D_3+ N_3+(h)) / sum_w c_k(h w)
    p_0(w)     = 1 / (V - 1)

with p_k = p_{k-1} for a history that was never seen.  c_n are counts; below the highest order c_k(g) is the number of
distinct words before g, but the count itself where g begins a document, because no word is before it.  The `PAD` in
front of a document is the first word of its first n-grams; none crosses it.  The discounts of each order follow from
how many k-grams have each count (`discounts`), so nothing is tuned.

A k-gram is a row of its order's table; its key is (row of its history in the table below) * V + w, and the table is
the sorted array of keys.  So a lookup is a binary search, and the k-grams of one history lie side by side.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hopline.schema import PAD

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HIGHEST_ORDER = 5
_ABSENT = -1
_DEFAULT_DISCOUNT = 0.75  # where the text is too short for an estimate


@dataclass(frozen=True)
class _Counts:
    """What one order adds to the next lower one, for one kind of counts (occurrences, or distinct words before).

    Attributes:
        discounted: shape (rows,), count less discount, over the sum of the history's counts.
        remainder: shape (rows of the order below,), g(h); 1 where nothing follows the history.
    """

    discounted: Floats
    remainder: Floats


@dataclass(frozen=True)
class _Order:
    """The k-grams of one order.

    Attributes:
        keys: shape (rows,), sorted.
        highest: for the model whose highest order this is.
        lower: for models of a higher order; None for the highest order of all.
    """

    keys: Ints
    highest: _Counts
    lower: _Counts | None


class KneserNey:
    """The models of orders 2 to `HIGHEST_ORDER` of one text; they share all but their highest order.

    Attributes:
        orders: the orders that the text is long enough for.
    """

    def __init__(self, ids: npt.NDArray[np.integer], vocabulary_size: int, highest: int = HIGHEST_ORDER) -> None:
        """Counts the n-grams of a text.

        Args:
            ids: shape (N,), documents back to back, a `PAD` before each (`hopline.model.streams.TokenStream.ids`).
            vocabulary_size: V.
            highest: the highest order, 2 or more.
        """
        self.vocabulary_size = vocabulary_size
        words = ids.astype(np.int64)
        rows = words  # of the k-gram that ends at each position in its order's table; the table of order 1 is all ids
        counts = np.bincount(words, minlength=vocabulary_size)
        keys, starts_document = np.arange(vocabulary_size), np.arange(vocabulary_size) == PAD
        self._tables: list[_Order] = []
        for order in range(1, highest + 1):
            longer = _extend(rows, words, vocabulary_size)
            if order == 1:
                counts[PAD] = 0  # never predicted
            lower = None
            if order < highest:
                before = np.bincount(longer.suffix, minlength=len(keys))
                lower = _weights(np.where(starts_document, counts, before), keys, order, vocabulary_size)
            self._tables.append(_Order(keys, _weights(counts, keys, order, vocabulary_size), lower))
            if not len(longer.keys):
                break
            starts_document = starts_document[longer.keys // vocabulary_size]
            rows, keys, counts = longer.rows, longer.keys, longer.counts
        self.orders = range(2, len(self._tables) + 1)

    def score(self, ids: npt.NDArray[np.integer]) -> dict[int, Floats]:
        """Negative log-likelihoods of every token of a text, by every order.

        Args:
            ids: shape (N,), as those that were counted.

        Returns:
            For each order, 1 included (the lowest order by itself), shape (tokens,), in nats.
        """
        words = ids.astype(np.int64)
        real = words != PAD
        history = np.zeros(len(words), np.int64)  # row of the history of each position; that of order 1 is empty
        shorter = np.full(len(words), 1.0 / (self.vocabulary_size - 1))
        scores = {}
        rows = words
        for order, table in enumerate(self._tables, start=1):
            if order > 1:
                history = _before(rows)
                rows = _find(table.keys, history, words, self.vocabulary_size)
            scores[order] = -np.log(_interpolated(table.highest, rows, history, shorter)[real])
            if table.lower:
                shorter = _interpolated(table.lower, rows, history, shorter)
        return scores


@dataclass(frozen=True)
class _Longer:
    """The (k+1)-grams of a text: see `_extend`."""

    rows: Ints
    keys: Ints
    counts: Ints
    suffix: Ints


def _extend(rows: Ints, words: Ints, vocabulary_size: int) -> _Longer:
    """The table of the next order.

    Args:
        rows: shape (N,), the row of the k-gram that ends at each position, `_ABSENT` where none does.
        words: shape (N,), the ids.
        vocabulary_size: V.

    Returns:
        rows: the same for k + 1.  keys, counts: of each (k+1)-gram.  suffix: the row of its last k words.
    """
    history = _before(rows)
    places = np.flatnonzero((history != _ABSENT) & (words != PAD))
    keys, first, inverse, counts = np.unique(
        history[places] * vocabulary_size + words[places], return_index=True, return_inverse=True, return_counts=True
    )
    longer = np.full(len(words), _ABSENT, np.int64)
    longer[places] = inverse
    return _Longer(longer, keys, counts, rows[places[first]])


def _before(rows: Ints) -> Ints:
    """The row of the k-gram that ends one position earlier."""
    return np.concatenate([[_ABSENT], rows[:-1]]).astype(np.int64)


def _find(keys: Ints, history: Ints, words: Ints, vocabulary_size: int) -> Ints:
    """The row of each history and word, `_ABSENT` where the pair was not seen."""
    wanted = history * vocabulary_size + words
    rows = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where((history != _ABSENT) & (words != PAD) & (keys[rows] == wanted), rows, _ABSENT)


def _weights(counts: Ints, keys: Ints, order: int, vocabulary_size: int) -> _Counts:
    history = np.zeros_like(keys) if order == 1 else keys // vocabulary_size
    totals = np.bincount(history, weights=counts)
    discount = np.concatenate([[0.0], discounts(counts)])[np.minimum(counts, 3)]
    with np.errstate(invalid="ignore", divide="ignore"):
        # A history without any count takes nothing away: all is left to the shorter one.
        remainder = np.where(totals > 0, np.bincount(history, weights=discount) / totals, 1.0)
        discounted = np.where(counts > 0, (counts - discount) / totals[history], 0.0)
    return _Counts(discounted, remainder)


def discounts(counts: Ints) -> Floats:
    """D_1, D_2 and D_3+ of Chen & Goodman from the numbers of n-grams that occur once to four times.

    Where one of these numbers is 0 or a discount leaves [0, its count], there is one discount n_1 / (n_1 + 2 n_2)
    (Ney, Essen and Kneser, 1994), and where that has no meaning either, `_DEFAULT_DISCOUNT`.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(np.float64)
    single = n[0] / (n[0] + 2 * n[1]) if n[0] and n[1] else _DEFAULT_DISCOUNT
    if n.all():
        modified = np.arange(1, 4) - np.arange(2, 5) * single * n[1:] / n[:-1]
        if (modified > 0).all() and (modified <= np.arange(1, 4)).all():
            return modified
    return np.full(3, single)


def _interpolated(counts: _Counts, rows: Ints, history: Ints, shorter: Floats) -> Floats:
    """p_k at each position from p_{k-1}."""
    followed = (history != _ABSENT) & (history < len(counts.remainder))  # rows beyond were never followed by a word
    own = np.where(rows != _ABSENT, counts.discounted[rows], 0.0)
    return np.where(followed, own + counts.remainder[np.where(followed, history, 0)] * shorter, shorter)
