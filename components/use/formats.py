"""Scores as text: a table and JSON; `components.use.tool_formats` has the forms of other tools.

Each form is written piece by piece, so a text may be of any length.  A line ends with `<eos>` or with its document.
"""

import json
import math
from typing import Any, TextIO

import numpy as np

from hopline.schema import EOS, UNKNOWN
from hopline.use.model import Model
from hopline.use.requests import ScoreRequest
from hopline.use.scored import Scored, Totals

_SHOWN_WORDS = 8


class Output:
    """Receives scores, and cuts them into lines; subclasses print."""

    def __init__(self, request: ScoreRequest, model: Model, stream: TextIO) -> None:
        self.request, self.model, self.stream = request, model, stream
        self.per = request.per
        self.line, self.document = Totals(), Totals()
        self.place = 0  # in the line
        self._begun = False

    def print(self, text: str) -> None:
        """Writes a line at once, so that a reader at a pipe sees it."""
        print(text, file=self.stream, flush=True)

    def piece(self, scored: Scored) -> None:
        """Takes a document's next tokens."""
        if not self._begun:  # a text that cannot be read leaves nothing half-written
            self.begin()
            self._begun = True
        self.document.add(scored.totals)
        if not self.every_line():
            return
        ends = np.flatnonzero(scored.ids == EOS) + 1
        for start, end in zip([0, *ends], [*ends, len(scored.ids)], strict=True):
            if start == end:
                continue
            part = Scored(scored.words[start:end], scored.ids[start:end], scored.nll[start:end], 0)
            self.line.add(part.totals)
            self.part_of_line(part)
            if part.ids[-1] == EOS:
                self._end_line()

    def end_document(self, name: str) -> None:
        """The document has no further tokens."""
        if self.line.tokens:
            self._end_line()
        self.end_of_document(name)
        self.document = Totals()

    def close(self, totals: Totals, seconds: float) -> None:
        """All has been scored."""
        raise NotImplementedError

    def begin(self) -> None:
        """Prints what stands before the first token."""

    def every_line(self) -> bool:
        """Whether the lines are looked at; the table's summary, for one, needs none of them."""
        return self.per != "document"

    def part_of_line(self, part: Scored) -> None:
        """Further tokens of the line `self.line`, from `self.place` on."""

    def end_of_line(self) -> None:
        """`self.line` is whole."""

    def end_of_document(self, name: str) -> None:
        """`self.document` is whole."""

    def _end_line(self) -> None:
        self.end_of_line()
        self.line, self.place = Totals(), 0


class Table(Output):
    """For people."""

    def __init__(self, request: ScoreRequest, model: Model, stream: TextIO) -> None:
        super().__init__(request, model, stream)
        self._beginning: list[str] = []

    def begin(self) -> None:
        heads = {"word": f"{'bits':>8}  word", "line": f"{'perplexity':>12} {'words':>7} {'unknown':>7}  line"}
        if self.per in heads:
            self.print(heads[self.per])

    def part_of_line(self, part: Scored) -> None:
        if self.per == "word":
            for word, identity, bits in zip(part.words, part.ids, part.surprisal, strict=True):
                self.print(f"{bits:8.3f}  {word}{'  (unknown)' if identity == UNKNOWN else ''}")
        room = _SHOWN_WORDS + 1 - len(self._beginning)
        self._beginning += part.words[:room]

    def end_of_line(self) -> None:
        if self.per == "line":
            line, words = self.line, self._beginning
            shown = " ".join(words[:_SHOWN_WORDS]) + (" …" if len(words) > _SHOWN_WORDS else "")
            self.print(f"{line.perplexity:12,.2f} {line.tokens:7,} {line.unknown:7,}  {shown}")
        self._beginning = []

    def end_of_document(self, name: str) -> None:
        if self.per == "document" and len(self.request.files) > 1:
            sums = self.document
            self.print(f"{name}: perplexity {sums.perplexity:,.2f}, {sums.tokens:,} words, {sums.unknown:,} unknown")

    def close(self, totals: Totals, seconds: float) -> None:
        rows = [
            ("perplexity", f"{totals.perplexity:,.2f}"),
            ("without unknown", f"{totals.perplexity_without_unknown:,.2f}"),
            ("words", f"{totals.tokens:,}, of which {totals.unknown:,} unknown and {totals.lines:,} ends of lines"),
            ("bits per character", f"{totals.bits_per_character:.4f}"),
            ("words per second", f"{totals.tokens / max(seconds, 1e-9):,.0f}"),
            ("model", self.model.located.place),
        ]
        if self.request.cache:
            rows.append(("neural cache", ", ".join(f"{name} {value:g}" for name, value in self.request.cache.items())))
        for name, value in rows:
            self.print(f"{name + ':':20} {value}")


class Json(Output):
    """One object.  Its list `words`, `lines` or `documents` comes first, item by item; what is not a number is null."""

    def __init__(self, request: ScoreRequest, model: Model, stream: TextIO) -> None:
        super().__init__(request, model, stream)
        self._items = 0

    def begin(self) -> None:
        self.stream.write(f'{{"{self.per}s": [')

    def part_of_line(self, part: Scored) -> None:
        if self.per == "word":
            for word, identity, nll in zip(part.words, part.ids, part.nll, strict=True):
                self._item({"word": word, "id": int(identity), "nll": _number(nll)})

    def end_of_line(self) -> None:
        if self.per == "line":
            self._item(_numbers(self.line, whole=False))

    def end_of_document(self, name: str) -> None:
        if self.per == "document":
            self._item({"document": name, **_numbers(self.document)})

    def close(self, totals: Totals, seconds: float) -> None:
        facts = self.model.located.manifest
        about = {
            **_numbers(totals),
            "words_per_second": totals.tokens / max(seconds, 1e-9),
            "parameters": self.model.parameters,
            "vocabulary_size": len(self.model.vocabulary),
            "model": {"id": facts.id, "version": self.model.located.version, "place": self.model.located.place},
            "cache": self.request.cache,
        }
        self.print("], " + json.dumps(about, ensure_ascii=False)[1:])

    def _item(self, item: dict[str, Any]) -> None:
        self.stream.write(("," if self._items else "") + "\n" + json.dumps(item, ensure_ascii=False, allow_nan=False))
        self._items += 1


def _numbers(sums: Totals, *, whole: bool = True) -> dict[str, Any]:
    found = {
        "perplexity": _number(sums.perplexity),
        "perplexity_without_unknown": _number(sums.perplexity_without_unknown),
        "nll": _number(sums.nats),
        "tokens": sums.tokens,
        "unknown": sums.unknown,
        "line_ends": sums.lines,
    }
    if whole:
        found |= {"characters": sums.characters, "bits_per_character": _number(sums.bits_per_character)}
    return found


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
