"""Examples of what a model does: continuations of held-out text, and the likeliest words along a sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hopline.model.tokenisers import join
from hopline.use.drawing import Choice
from hopline.use.model import Model

BEGINNINGS = 3
LIKELIEST = 5
CHOICE = Choice(temperature=0.8, top_k=50, seed=1)
_BEGINNING, _CONTINUATION = 8, 25  # words
_SENTENCE = (6, 16)  # words of the sentence that is looked at, at least and at most
_LOOKED_AT = 1 << 16  # characters of a document that beginnings are taken from


@dataclass(frozen=True)
class Continuation:
    """A beginning, how the model continues it, and how the text does."""

    beginning: str
    drawn: str
    real: str


@dataclass(frozen=True)
class Sentence:
    """A sentence, word by word.

    Attributes:
        words: N words.
        bits: the surprisal of each.
        likeliest: at each place the `LIKELIEST` likeliest words with their probabilities.
        reads: shape (N, K, N), see `hopline.use.model.Attention`.
    """

    words: tuple[str, ...]
    bits: tuple[float, ...]
    likeliest: tuple[tuple[tuple[str, float], ...], ...]
    reads: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """What is shown of a model; less of both where the text has no more."""

    continuations: list[Continuation]
    sentence: Sentence | None

    def content(self) -> dict[str, Any]:
        """As JSON; attention by hop, word and word read."""
        continuations = [vars(continuation) for continuation in self.continuations]
        if self.sentence is None:
            return {"continuations": continuations, "sentence": None}
        sentence = self.sentence
        places = [
            {
                "word": word,
                "bits": round(bits, 4),
                "likeliest": [{"word": likely, "probability": round(number, 6)} for likely, number in likeliest],
            }
            for word, bits, likeliest in zip(sentence.words, sentence.bits, sentence.likeliest, strict=True)
        ]
        hops = np.round(sentence.reads.transpose(1, 0, 2).astype(np.float64), 6).tolist()
        return {"continuations": continuations, "sentence": {"places": places, "attention": hops}}


def make_samples(model: Model, documents: Sequence[str]) -> Samples:
    """Draws from the model, always the same for one model and text.

    Args:
        model: the model.
        documents: held-out text.
    """
    lines = list(_lines(model, documents))
    beginnings = [line for line in _spread(lines, 10 * BEGINNINGS) if len(line) >= _BEGINNING + 2] or lines
    continuations = [_continued(model, line) for line in _spread(beginnings, BEGINNINGS)]
    least, most = _SENTENCE
    fitting = _spread([line for line in lines if least <= len(line) <= most], 10 * BEGINNINGS)
    scores = model.score([join(line, model.tokeniser) for line in fitting])
    known = [line for line, scored in zip(fitting, scores, strict=True) if not scored.totals.unknown]
    known = known or fitting or [line[:most] for line in lines]
    middle = known[len(known) // 2] if known else None
    return Samples(continuations, _looked_at(model, middle) if middle else None)


def _continued(model: Model, line: list[str]) -> Continuation:
    cut = min(_BEGINNING, max(1, len(line) // 2))
    beginning = join(line[:cut], model.tokeniser)
    [drawn] = model.generate(beginning, tokens=_CONTINUATION, **vars(CHOICE))
    whole = join(line[: cut + _CONTINUATION], model.tokeniser)
    return Continuation(beginning, drawn, whole[len(beginning) :])


def _looked_at(model: Model, line: list[str]) -> Sentence | None:
    """None if the model's numbers are not finite: there is nothing to show of it then."""
    text = join(line, model.tokeniser)
    scored, likeliest = model.alternatives(text, LIKELIEST)
    places = tuple(tuple((word, float(np.exp(number))) for word, number in place) for place in likeliest)
    reads = model.attention(text).reads
    numbers = [*scored.nll, *(share for place in places for _, share in place), *reads.flat]
    if not np.isfinite(numbers).all():
        return None
    return Sentence(scored.words, tuple(map(float, scored.surprisal)), places, reads)


def _lines(model: Model, documents: Sequence[str]) -> Iterator[list[str]]:
    """The words of the lines of some documents, which are spread over all."""
    for document in _spread(documents, 10 * BEGINNINGS):
        for line in document[:_LOOKED_AT].split("\n")[:200]:
            if words := model.words_of(line):
                yield words


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """`count` of the items at most, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[round((place + 0.5) * len(items) / count - 0.5)] for place in range(count)]
