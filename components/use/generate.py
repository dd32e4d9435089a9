"""Continues a text, word by word: `hopline generate`."""

import json
import sys
from typing import TextIO

from hopline.use.drawing import Choice
from hopline.use.model import Model
from hopline.use.requests import GenerateRequest
from hopline.use.running import RunningText


def run(request_json: str) -> None:
    """Prints the text and its continuations as their words are drawn."""
    request = GenerateRequest.from_json(request_json)
    choice = Choice(
        request.temperature, request.top_k, request.top_p, request.seed, tuple(request.stop), request.unknown
    )
    model = Model(request.located)
    if request.json:
        _print_json(model, request, choice)
    elif request.n == 1:
        _stream(model, request, choice, sys.stdout)
    else:
        _print_several(model, request, choice, sys.stdout)


def _stream(model: Model, request: GenerateRequest, choice: Choice, stream: TextIO) -> None:
    running = RunningText(request.text, model.words_of(request.text), model.tokeniser)
    stream.write(request.text)
    stream.flush()
    for [part] in model.stream(request.text, tokens=request.tokens, choice=choice, cache=request.cache_config):
        stream.write(running.add(part.words))
        stream.flush()
    print(running.rest(), file=stream, flush=True)


def _print_several(model: Model, request: GenerateRequest, choice: Choice, stream: TextIO) -> None:
    """All continuations are drawn together, and each is printed when it is whole."""
    for number, (text, _, _) in enumerate(_drawn(model, request, choice), start=1):
        print(f"[{number}] {request.text}{text}", file=stream, flush=True)


def _print_json(model: Model, request: GenerateRequest, choice: Choice) -> None:
    found = [
        {"text": text, "words": words, "log_probabilities": numbers}
        for text, words, numbers in _drawn(model, request, choice)
    ]
    located = model.located
    about = {"id": located.manifest.id, "version": located.version, "place": located.place}
    settings = {
        name: getattr(request, name) for name in ("tokens", "temperature", "top_k", "top_p", "seed", "stop", "cache")
    }
    print(json.dumps({"prompt": request.text, **settings, "continuations": found, "model": about}, ensure_ascii=False))


def _drawn(model: Model, request: GenerateRequest, choice: Choice) -> list[tuple[str, list[str], list[float]]]:
    rows: list[tuple[list[str], list[float]]] = [([], []) for _ in range(request.n)]
    parts = model.stream(
        request.text, tokens=request.tokens, n=request.n, choice=choice, at_once=request.tokens,
        cache=request.cache_config,
    )  # fmt: skip
    for part in parts:
        for row, drawn in zip(rows, part, strict=True):
            row[0].extend(drawn.words)
            row[1].extend(drawn.log_probs)
    return [(model.joined(request.text, words), words, numbers) for words, numbers in rows]
