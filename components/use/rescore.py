"""Ranks the hypotheses of n-best lists again: `hopline rescore`.

Two forms are read, line by line:

    key ||| hypothesis ||| features ||| score      the decoder's of machine translation; features may be left out
    key<tab>score<tab>hypothesis                   anything else

Hypotheses of one key stand together.  Each is scored as a line of its own; the new score is
score + lm_weight * log p(hypothesis) + word_score * words, with the natural logarithm.  Best first, each line
comes out in its form with the new score in the place of the old.
"""

import itertools
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from components.use.inputs import check_input, input_name, open_input
from hopline.runtime.errors import UserError
from hopline.use import pieces
from hopline.use.model import Model
from hopline.use.requests import RescoreRequest

_BARS = " ||| "
_MOST = 100_000  # hypotheses of one key: they are ranked in memory


@dataclass(frozen=True)
class Hypothesis:
    """One line.

    Attributes:
        key: what the hypotheses compete for.
        text: the hypothesis.
        score: its own.
        fields: the line's, in order.
        place: of the score among them.
        separator: between them.
    """

    key: str
    text: str
    score: float
    fields: tuple[str, ...]
    place: int
    separator: str

    def with_score(self, score: float) -> str:
        """The line with another score."""
        fields = [*self.fields]
        fields[self.place] = f"{score:.6f}"
        return self.separator.join(fields)


def run(request_json: str) -> None:
    """Rescores the list that the request names."""
    request = RescoreRequest.from_json(request_json)
    check_input(request.file, 'name an n-best list, or "-" for standard input')
    model = Model(request.located)
    with open_input(request.file) as stream:
        rescore(model, request, stream, sys.stdout)


def rescore(model: Model, request: RescoreRequest, stream: BinaryIO, output: TextIO) -> None:
    """Prints every group of hypotheses, best first.

    Raises:
        UserError: a line is of neither form, or there is none; groups before it are printed.
    """
    name = input_name(request.file)
    hypotheses = parse(pieces.lines(pieces.read_text(stream, name), name), name)
    none = True
    for key, group in itertools.groupby(hypotheses, key=lambda hypothesis: hypothesis.key):
        candidates = list(itertools.islice(group, _MOST + 1))
        if len(candidates) > _MOST:
            raise UserError(f"{key!r} has more than {_MOST:,} hypotheses", remedy="give fewer for each")
        none = False
        scored = model.score([f"{candidate.text}\n" for candidate in candidates])
        totals = [
            candidate.score - request.lm_weight * found.totals.nats + request.word_score * (found.totals.tokens - 1)
            for candidate, found in zip(candidates, scored, strict=True)
        ]
        for place in sorted(range(len(totals)), key=lambda place: -totals[place]):
            print(candidates[place].with_score(totals[place]), file=output)
        output.flush()
    if none:
        raise UserError(f"{name} holds no hypothesis", remedy="give an n-best list")


def parse(lines: Iterable[str], name: str) -> Iterator[Hypothesis]:
    """The hypotheses of `lines`; empty lines are left out.

    Raises:
        UserError: a line is of neither form, or its score is no number.
    """
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if not text.strip():
            continue
        if _BARS in text:
            fields, separator = text.split(_BARS), _BARS
            key_at, text_at, score_at = 0, 1, len(fields) - 1
        else:
            fields, separator = text.split("\t"), "\t"
            key_at, text_at, score_at = 0, 2, 1
        try:
            if len(fields) < 3:
                raise ValueError("it has too few fields")
            score = float(fields[score_at])
            if not math.isfinite(score):
                raise ValueError("its score is not finite")
        except ValueError as error:
            raise UserError(
                f"{name}, line {number} is no hypothesis: {error}",
                remedy="write `key ||| hypothesis ||| score`, or key, score and hypothesis with tabs between them",
            ) from error
        yield Hypothesis(fields[key_at].strip(), fields[text_at], score, tuple(fields), score_at, separator)
