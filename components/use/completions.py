"""`/v1/completions` as OpenAI's interface has it; words are its tokens."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from hopline.runtime.errors import UserError
from hopline.schema import EOS, RESERVED_WORDS
from hopline.use.drawing import Choice, Words
from hopline.use.model import Model
from hopline.use.requests import ServeRequest
from hopline.use.running import RunningText

if TYPE_CHECKING:
    from components.use.serve import Work

_AT_ONCE = 8  # words drawn in one call, unless each is sent at once
_MOST_PROMPTS, _MOST_CHOICES, _MOST_LOGPROBS = 64, 16, 5

# A word, its log-probability, and the likeliest words at its place.
ScoredWord = tuple[str, float, Sequence[tuple[str, float]]]


@dataclass(frozen=True)
class CompletionRequest:
    """The checked body of a request."""

    prompts: list[str]
    tokens: int
    n: int
    choice: Choice
    stop: list[str]
    logprobs: int | None
    echo: bool
    stream: bool


@dataclass
class Continuation:
    """A continuation while it is drawn.

    Attributes:
        running: joins its words.
        stop: strings before which it ends.
        text: of it, without `withheld`.
        withheld: its last characters, which may be the beginning of a stop string.
        words: drawn so far.
        ended: the reason why no words follow, "" while they do.
    """

    running: RunningText
    stop: list[str]
    text: str = ""
    withheld: str = ""
    words: list[ScoredWord] = field(default_factory=list)
    ended: str = ""

    def add(self, drawn: Words, *, last: bool) -> str:
        """Takes further words and returns the text that is certain since the last call."""
        if self.ended:
            return ""
        self.words += zip(drawn.words, drawn.log_probs, drawn.alternatives, strict=True)
        new = self.withheld + self.running.add(drawn.words) + (self.running.rest() if last else "")
        places = [place for stop in self.stop if (place := new.find(stop)) >= 0]
        if places:
            new, self.withheld, self.ended = new[: min(places)], "", "stop"
        elif last:
            self.withheld, self.ended = "", "length"
        else:
            kept = _withheld(new, self.stop)
            new, self.withheld = new[: len(new) - kept], new[len(new) - kept :]
        self.text += new
        return new


class Completions:
    """Answers requests for completions.

    Args:
        model: the model.
        request: its limits.
        work: where it computes.
    """

    def __init__(self, model: Model, request: ServeRequest, work: "Work") -> None:
        self._model, self._request, self._work = model, request, work

    async def answer(self, body: Any) -> Response:
        """The answer to a request's body."""
        asked = parse(body, self._request.max_tokens)
        about = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time())}
        about["model"] = self._request.name
        if asked.stream:
            return StreamingResponse(self._events(asked, about), media_type="text/event-stream")
        choices: list[dict[str, Any]] = []
        prompt_tokens = drawn = 0
        deadline = time.monotonic() + self._request.timeout
        for prompt in asked.prompts:
            before = await self._work.call(self._scored_prompt, asked, prompt)
            written = self._begin(asked, prompt)
            async for _ in self._work.each(self._drawn(asked, prompt, written, at_once=_AT_ONCE)):
                if time.monotonic() > deadline:
                    raise HTTPException(503, f"no answer within {self._request.timeout:g} seconds: ask for less")
            prompt_tokens += len(await self._work.call(self._model.words_of, prompt))
            for one in written:
                choices.append(_choice(asked, len(choices), prompt, before, one))
                drawn += len(one.words)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": drawn, "total_tokens": prompt_tokens + drawn}
        return JSONResponse({**about, "choices": choices, "usage": usage})

    async def _events(self, asked: CompletionRequest, about: dict[str, Any]) -> AsyncIterator[str]:
        """The answer as events, one for each word of each choice."""
        deadline = time.monotonic() + self._request.timeout
        try:
            for number, prompt in enumerate(asked.prompts):
                if asked.echo:
                    before = await self._work.call(self._scored_prompt, asked, prompt)
                    for index in range(asked.n):
                        logprobs = _logprobs(asked, prompt, before)
                        yield _event(about, number * asked.n + index, prompt, logprobs)
                written = self._begin(asked, prompt)
                counts = [0] * asked.n
                async for texts in self._work.each(self._drawn(asked, prompt, written, at_once=1)):
                    for index, (one, text) in enumerate(zip(written, texts, strict=True)):
                        new, counts[index] = one.words[counts[index] :], len(one.words)
                        if text or new or one.ended:
                            logprobs = _logprobs(asked, text, new)
                            yield _event(about, number * asked.n + index, text, logprobs, one.ended)
                    if time.monotonic() > deadline:
                        raise HTTPException(503, f"no end within {self._request.timeout:g} seconds: ask for less")
        except (HTTPException, UserError) as error:  # the answer has begun: its status cannot change any more
            message = error.detail if isinstance(error, HTTPException) else str(error)
            yield f"data: {json.dumps({'error': {'message': message, 'type': 'server_error'}})}\n\n"
        yield "data: [DONE]\n\n"

    def _begin(self, asked: CompletionRequest, prompt: str) -> list[Continuation]:
        words = self._model.words_of(prompt)
        return [Continuation(RunningText(prompt, words, self._model.tokeniser), asked.stop) for _ in range(asked.n)]

    def _drawn(
        self, asked: CompletionRequest, prompt: str, written: list[Continuation], at_once: int
    ) -> Iterator[list[str]]:
        """Draws until all have ended; yields the new text of each."""
        if not asked.tokens:
            yield [one.add(Words((), (), (), False), last=True) for one in written]
            return
        done = 0
        steps = self._model.stream(prompt, tokens=asked.tokens, n=asked.n, choice=asked.choice, at_once=at_once)
        for parts in steps:
            done = min(done + at_once, asked.tokens)
            yield [one.add(part, last=done == asked.tokens) for one, part in zip(written, parts, strict=True)]
            if all(one.ended for one in written):
                return

    def _scored_prompt(self, asked: CompletionRequest, prompt: str) -> list[ScoredWord]:
        if not asked.echo or asked.logprobs is None:
            return []
        scored, likeliest = self._model.alternatives(prompt, max(1, asked.logprobs))
        return [(word, -float(nll), top) for word, nll, top in zip(scored.words, scored.nll, likeliest, strict=True)]


def parse(body: Any, most_tokens: int) -> CompletionRequest:
    """Checks a request's body.

    Raises:
        UserError: a value is of the wrong type or out of bounds.
    """
    if not isinstance(body, dict):
        raise UserError("the body must be a JSON object", remedy='send {"prompt": "..."}')
    value = _Values(body)
    prompts = value.texts("prompt", [""])
    if len(prompts) > _MOST_PROMPTS:
        raise UserError(f"a request may have {_MOST_PROMPTS} prompts at most", remedy="send fewer")
    logprobs = value.whole("logprobs", None, 0, _MOST_LOGPROBS)
    echo = value.flag("echo")
    seed = value.whole("seed", None, -(1 << 62), 1 << 62)
    choice = Choice(
        temperature=value.number("temperature", 1.0),
        top_k=value.whole("top_k", 0, 0, 1 << 30) or 0,
        top_p=value.number("top_p", 1.0),
        seed=time.time_ns() >> 8 if seed is None else seed,
    )
    tokens = value.whole("max_tokens", None, 0, most_tokens)
    return CompletionRequest(
        prompts=prompts,
        tokens=min(16, most_tokens) if tokens is None else tokens,  # the default follows the server's bound
        n=value.whole("n", 1, 1, _MOST_CHOICES) or 1,
        choice=choice,
        stop=[stop for stop in value.texts("stop", []) if stop],
        logprobs=logprobs,
        echo=echo,
        stream=value.flag("stream"),
    )


class _Values:
    """A JSON object's values by name and type; null is the default."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    def texts(self, name: str, default: list[str]) -> list[str]:
        found = self._body.get(name)
        if found is None:
            return default
        texts = [found] if isinstance(found, str) else found
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise UserError(f"{name} must be a text or a list of texts", remedy=f"correct {name}")
        return texts

    def number(self, name: str, default: float) -> float:
        found = self._body.get(name, default)
        found = default if found is None else found
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            raise UserError(f"{name} must be a number", remedy=f"correct {name}")
        return float(found)

    def whole(self, name: str, default: int | None, least: int, most: int) -> int | None:
        found = self._body.get(name, default)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise UserError(f"{name} must be a whole number from {least} to {most:,}", remedy=f"correct {name}")
        return found

    def flag(self, name: str) -> bool:
        found = self._body.get(name)
        if found not in {None, True, False}:
            raise UserError(f"{name} must be true or false", remedy=f"correct {name}")
        return bool(found)


def _withheld(text: str, stop: list[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop string."""
    lengths = (length for word in stop for length in range(min(len(word) - 1, len(text)), 0, -1))
    return max((length for length in lengths if any(text.endswith(word[:length]) for word in stop)), default=0)


def _choice(
    asked: CompletionRequest, index: int, prompt: str, before: list[ScoredWord], one: Continuation
) -> dict[str, Any]:
    text = prompt + one.text if asked.echo else one.text
    logprobs = _logprobs(asked, text, [*before, *one.words])
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": one.ended}


def _logprobs(asked: CompletionRequest, text: str, words: Sequence[ScoredWord]) -> dict[str, Any] | None:
    if asked.logprobs is None:
        return None
    offsets, place = [], 0
    for word, _, _ in words:
        surface = "\n" if word == RESERVED_WORDS[EOS] else word
        found = text.find(surface, place)
        offsets.append(found if found >= 0 else place)
        place = found + len(surface) if found >= 0 else place
    return {
        "tokens": [word for word, _, _ in words],
        "token_logprobs": [number for _, number, _ in words],
        "top_logprobs": [dict(likeliest[: asked.logprobs]) for _, _, likeliest in words] if asked.logprobs else None,
        "text_offset": offsets,
    }


def _event(about: dict[str, Any], index: int, text: str, logprobs: dict[str, Any] | None, reason: str = "") -> str:
    choice = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason or None}
    return f"data: {json.dumps({**about, 'choices': [choice]}, ensure_ascii=False)}\n\n"
