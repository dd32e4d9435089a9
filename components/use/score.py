"""Scores texts of any length: `hopline score`."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from components.use.attention import show_attention
from components.use.inputs import STDIN, check_input, input_name, open_input
from components.use.tool_formats import output_for
from hopline.runtime.errors import UserError
from hopline.use import pieces
from hopline.use.model import Model
from hopline.use.requests import ScoreRequest
from hopline.use.scored import Scored, Totals

_WITHHELD = 1_000_000  # tokens withheld until the first known word


def run(request_json: str) -> None:
    """Scores what the request names and prints it as the request asks."""
    request = ScoreRequest.from_json(request_json)
    files = request.files or [STDIN]
    for file in files:  # before the model loads, and before anything is printed
        check_input(file, "name files of text, or none for standard input")
    model = Model(request.located)
    if request.attention:
        for file in files:
            with open_input(file) as stream:
                show_attention(model, pieces.read_text(stream, input_name(file)), sys.stdout)
        return
    output = output_for(request, model, sys.stdout)
    for _ in _of_text(model, request, ["\n"], ""):  # the first call takes a moment of its own
        pass
    began, totals = time.monotonic(), Totals()
    for name, scored in _once_known(_documents(model, request, files)):
        if scored is None:
            output.end_document(name)
        else:
            totals.add(scored.totals)
            output.piece(scored)
    output.close(totals, time.monotonic() - began)


def _documents(model: Model, request: ScoreRequest, files: Sequence[str]) -> Iterator[tuple[str, Scored | None]]:
    """The files' names with their scored pieces; None at the end of each."""
    for file in files:
        name = input_name(file)
        with open_input(file) as stream:
            for scored in _of_text(model, request, pieces.read_text(stream, name), name):
                yield name, scored
        yield name, None


def _once_known(parts: Iterable[tuple[str, Scored | None]]) -> Iterator[tuple[str, Scored | None]]:
    """The same parts, withheld until the model knows a word of them: a text of unknown words alone prints nothing.

    Raises:
        UserError: there is no word, or only unknown ones.
    """
    held: list[tuple[str, Scored | None]] = []
    totals, known = Totals(), False
    for part in parts:
        if not known:
            held.append(part)
            if part[1] is not None:
                totals.add(part[1].totals)
            known = totals.tokens > totals.unknown + totals.lines or totals.tokens > _WITHHELD
            if known:
                yield from held
            continue
        yield part
    if known:
        return
    if totals.unknown:
        raise UserError(
            f"the model knows none of the {totals.unknown:,} words of the text",
            remedy="give text of the language, and cut into words, as the model was trained on",
        )
    if totals.tokens:  # ends of lines alone
        yield from held
        return
    raise UserError("the text is empty: there is nothing to score", remedy="give a text of one word at least")


def _of_text(model: Model, request: ScoreRequest, text: Iterable[str], name: str) -> Iterator[Scored]:
    if request.context == "document":
        parts = pieces.cut(text, name, anywhere=model.by_character)
        yield from model.score_pieces(parts, request.cache_config)
        return
    batch: list[str] = []
    characters = 0
    for line in pieces.lines(text, name):
        batch.append(line)
        characters += len(line)
        if characters > pieces.PIECE:
            yield from model.score(batch, request.cache_config)
            batch, characters = [], 0
    yield from model.score(batch, request.cache_config)
