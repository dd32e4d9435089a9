"""Scores in the forms of other tools: KenLM's `query`, SRILM's `ngram -ppl`, and tables of surprisal."""

import math
from typing import TextIO

from components.use.formats import Json, Output, Table
from hopline.runtime.errors import UserError
from hopline.schema import EOS, RESERVED_WORDS, UNKNOWN
from hopline.use.model import Model
from hopline.use.requests import ScoreRequest
from hopline.use.scored import Scored, Totals

_LOG10 = math.log(10)
_SRILM_LONGEST = 1_000_000  # words of a line: SRILM shows a line before its words, so they are kept


class Kenlm(Output):
    """As KenLM's `query` prints it: `word=id length log10(p)`, totals of lines, and the summary."""

    def every_line(self) -> bool:
        return True

    def part_of_line(self, part: Scored) -> None:
        if self.per == "word":
            # KenLM's third field is the n-gram's length: here the words read, and the word itself.
            reach = self.model.reach
            for word, identity, nll in zip(part.words, part.ids, part.nll, strict=True):
                surface = "</s>" if identity == EOS else word
                length = min(self.place, reach) + 1
                self.stream.write(f"{surface}={identity} {length} {-nll / _LOG10:.6g}\t")
                self.place += 1

    def end_of_line(self) -> None:
        if self.per != "document":
            self.print(f"Total: {-self.line.nats / _LOG10:.6g} OOV: {self.line.unknown}")

    def close(self, totals: Totals, seconds: float) -> None:
        self.print(f"Perplexity including OOVs:\t{totals.perplexity:.6g}")
        self.print(f"Perplexity excluding OOVs:\t{totals.perplexity_without_unknown:.6g}")
        self.print(f"OOVs:\t{totals.unknown}")
        self.print(f"Tokens:\t{totals.tokens}")


class Srilm(Output):
    """As SRILM's `ngram -ppl FILE -debug 2` prints it; unknown words are left out of its sums, as SRILM does."""

    def __init__(self, request: ScoreRequest, model: Model, stream: TextIO) -> None:
        super().__init__(request, model, stream)
        self._parts: list[Scored] = []
        self._sentences = Totals()
        self._count = 0

    def every_line(self) -> bool:
        return True

    def part_of_line(self, part: Scored) -> None:
        self._parts.append(part)
        if self.line.tokens > _SRILM_LONGEST:
            raise UserError(
                f"a line has more than {_SRILM_LONGEST:,} words", remedy="use another --format, or split the line"
            )

    def end_of_line(self) -> None:
        words = [word for part in self._parts for word in part.words]
        shown = words[:-1] if words[-1] == RESERVED_WORDS[EOS] else words
        if self.per == "word":
            self.print(" ".join(shown))
            before = "<s>"
            for part in self._parts:
                for word, identity, nll in zip(part.words, part.ids, part.nll, strict=True):
                    self.print(self._word(word, int(identity), float(nll), before))
                    before, self.place = word, self.place + 1
        if self.per != "document":
            self._sums(self.line, 1)
            self.print("")
        self._sentences.add(self.line)
        self._count += 1
        self._parts = []

    def end_of_document(self, name: str) -> None:
        self._sums(self._sentences, self._count, before=f"file {name}: ")
        self._sentences, self._count = Totals(), 0

    def close(self, totals: Totals, seconds: float) -> None:
        """SRILM ends with the last file's sums."""

    def _word(self, word: str, identity: int, nll: float, before: str) -> str:
        context = f"{before} ..." if self.place else before
        if identity == UNKNOWN:
            return f"\tp( <unk> | {context} ) \t= [OOV] 0 [ -inf ]"
        surface = "</s>" if identity == EOS else word
        length = min(self.place, self.model.reach) + 1
        return f"\tp( {surface} | {context} ) \t= [{length}gram] {math.exp(-nll):.6g} [ {-nll / _LOG10:.6g} ]"

    def _sums(self, sums: Totals, sentences: int, before: str = "") -> None:
        words = sums.tokens - sums.lines
        known = words - sums.unknown
        logprob = -(sums.nats - sums.unknown_nats) / _LOG10
        self.print(f"{before}{sentences} sentences, {words} words, {sums.unknown} OOVs")
        per_token = _power(-logprob, known + sums.lines)
        self.print(f"0 zeroprobs, logprob= {logprob:.6g} ppl= {per_token} ppl1= {_power(-logprob, known)}")


class Tsv(Output):
    """A table of surprisals in bits, with the columns that psycholinguists' tools have."""

    def __init__(self, request: ScoreRequest, model: Model, stream: TextIO) -> None:
        super().__init__(request, model, stream)
        self._sentence = 1

    def begin(self) -> None:
        self.print("sentence_id\ttoken_id\ttoken\tsurprisal")

    def every_line(self) -> bool:
        return True

    def part_of_line(self, part: Scored) -> None:
        for word, bits in zip(part.words, part.surprisal, strict=True):
            self.place += 1
            self.stream.write(f"{self._sentence}\t{self.place}\t{word}\t{bits:.6f}\n")

    def end_of_line(self) -> None:
        self._sentence += 1

    def close(self, totals: Totals, seconds: float) -> None:
        self.stream.flush()


def output_for(request: ScoreRequest, model: Model, stream: TextIO) -> Output:
    """The form that the request asks for."""
    kinds: dict[str, type[Output]] = {"table": Table, "json": Json, "kenlm": Kenlm, "srilm": Srilm, "tsv": Tsv}
    return kinds[request.format](request, model, stream)


def _power(exponent: float, count: int) -> str:
    """10 to the power exponent / count, as SRILM prints it."""
    if not count:
        return "undefined"
    return f"{math.exp(min(exponent / count * _LOG10, 700.0)):.6g}"
