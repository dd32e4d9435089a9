"""Scores of a text's tokens, and their sums."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hopline.schema import EOS, UNKNOWN

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@dataclass
class Totals:
    """Sums over scored tokens.

    Attributes:
        tokens: their number N; every end of line is one.
        unknown: how many of them the vocabulary does not hold.
        lines: ends of lines among them.
        nats: negative log-likelihood of all.
        unknown_nats: of the unknown ones.
        characters: of the text, ends of lines included.
    """

    tokens: int = 0
    unknown: int = 0
    lines: int = 0
    nats: float = 0.0
    unknown_nats: float = 0.0
    characters: int = 0

    def add(self, other: "Totals") -> None:
        """Adds the sums of further tokens."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def perplexity(self) -> float:
        """Exp of the mean negative log-likelihood; an unknown word costs its `<unk>`.  NaN without tokens."""
        return _perplexity(self.nats, self.tokens)

    @property
    def perplexity_without_unknown(self) -> float:
        """The same over the known words alone; NaN without any."""
        return _perplexity(self.nats - self.unknown_nats, self.tokens - self.unknown)

    @property
    def bits_per_character(self) -> float:
        """NaN without characters."""
        return self.nats / math.log(2) / self.characters if self.characters else math.nan


@dataclass(frozen=True, eq=False)
class Scored:
    """The N tokens of a text, or of a piece of one.

    Attributes:
        words: as written; `<eos>` is an end of line.
        ids: shape (N,), in the model's vocabulary.
        nll: shape (N,), negative log-likelihoods in nats.
        characters: of the text, ends of lines included.
    """

    words: tuple[str, ...]
    ids: Ids
    nll: Floats
    characters: int
    totals: Totals = field(init=False)

    def __post_init__(self) -> None:
        unknown = self.ids == UNKNOWN
        totals = Totals(
            tokens=len(self.ids),
            unknown=int(unknown.sum()),
            lines=int((self.ids == EOS).sum()),
            nats=float(self.nll.sum(dtype=np.float64)),
            unknown_nats=float(self.nll[unknown].sum(dtype=np.float64)),
            characters=self.characters,
        )
        object.__setattr__(self, "totals", totals)

    @property
    def surprisal(self) -> npt.NDArray[np.float64]:
        """Shape (N,), in bits."""
        return self.nll.astype(np.float64) / math.log(2)

    @property
    def perplexity(self) -> float:
        """See `Totals.perplexity`."""
        return self.totals.perplexity

    def __repr__(self) -> str:
        return f"Scored({self.totals.tokens} tokens, perplexity {self.perplexity:.2f})"


def _perplexity(nats: float, tokens: int) -> float:
    if not tokens:
        return math.nan
    try:
        return math.exp(nats / tokens)
    except OverflowError:
        return math.inf
