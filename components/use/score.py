"""Scores texts of any length: `hopline score`."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from components.use.attention import show_attention
from components.use.formats import output_for
from hopline.runtime.errors import UserError
from hopline.use import pieces
from hopline.use.model import Model
from hopline.use.requests import ScoreRequest
from hopline.use.scored import Scored, Totals

STDIN = "-"


def run(request_json: str) -> None:
    """Scores what the request names and prints it as the request asks."""
    request = ScoreRequest.from_json(request_json)
    files = request.files or [STDIN]
    for file in files:  # before the model loads, and before anything is printed
        if file != STDIN and not Path(file).is_file():
            state = "is no file" if Path(file).exists() else "does not exist"
            raise UserError(f"{file} {state}", remedy="name files of text, or none for standard input")
    model = Model(request.located)
    if request.attention:
        for file in files:
            with _opened(file) as stream:
                show_attention(model, pieces.read_text(stream, _called(file)), sys.stdout)
        return
    output = output_for(request, model, sys.stdout)
    for _ in _of_text(model, request, ["\n"], ""):  # the first call takes a moment of its own
        pass
    began, totals = time.monotonic(), Totals()
    for file in files:
        with _opened(file) as stream:
            for scored in _of_text(model, request, pieces.read_text(stream, _called(file)), _called(file)):
                totals.add(scored.totals)
                output.piece(scored)
        output.end_document(_called(file))
    _require_tokens(totals)
    output.close(totals, time.monotonic() - began)


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


def _require_tokens(totals: Totals) -> None:
    if not totals.tokens:
        raise UserError("the text is empty: there is nothing to score", remedy="give a text of one word at least")


def _opened(file: str) -> BinaryIO:
    return sys.stdin.buffer if file == STDIN else Path(file).open("rb")


def _called(file: str) -> str:
    return "standard input" if file == STDIN else file
