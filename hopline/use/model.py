"""A trained model in Python: scores, continuations, likeliest words.  `hopline.load` makes one."""

import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hopline.model.tokenisers import tokenise
from hopline.runtime.errors import UserError
from hopline.schema import PAD, VOCABULARY_FILE
from hopline.use import pieces
from hopline.use.cache import Cache, CacheConfig
from hopline.use.exported import Exported
from hopline.use.locate import Located
from hopline.use.running import RunningText
from hopline.use.scored import Scored

_BATCH_CHARACTERS = 1 << 16  # of short texts that are scored in one call
_CARDS = ("README.md", "MODEL_CARD.md", "card.md")
DEFAULT_TOKENISER = "whitespace"  # of models made before there was a choice
LONGEST = 100_000  # words of one continuation


@dataclass(frozen=True)
class Choice:
    """How words are drawn.

    Attributes:
        temperature: divides the logits: below 1 likely words become likelier; 0 always takes the likeliest.
        top_k: draws from so many of the likeliest words; 0 from all.
        top_p: draws from the fewest likeliest words whose probabilities add up to it; 1 from all.
        seed: the same seed draws the same words.
        stop: words that end a continuation, and are no part of it; a newline is the end of a line.
        unknown: whether `<unk>` may be drawn.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    unknown: bool = False

    def __post_init__(self) -> None:
        rules = (
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_k", 0 <= self.top_k < 1 << 31, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("seed", abs(self.seed) < 1 << 63, "a number of 64 bits"),
        )
        for name, kept, rule in rules:
            if not kept:
                raise UserError(f"{name} is {getattr(self, name)}, but must be {rule}", remedy=f"correct {name}")


@dataclass(frozen=True)
class Words:
    """Words drawn for one text, one after another.

    Attributes:
        words: N words.
        log_probs: of each, in nats, under the model itself, whatever the temperature.
        alternatives: the likeliest words at each place with their log-probabilities, likeliest first.
        ended: whether a stop word came; then nothing follows.
    """

    words: tuple[str, ...]
    log_probs: tuple[float, ...]
    alternatives: tuple[tuple[tuple[str, float], ...], ...]
    ended: bool


@dataclass(frozen=True)
class Attention:
    """Where the hops look.

    Attributes:
        scored: the text's N tokens.
        reads: shape (N, K, N): what hop k of the prediction of token n reads of token m; 0 for m >= n and for those
            further back than the model's memory.
    """

    scored: Scored
    reads: npt.NDArray[np.float32]


class Model:
    """A model that scores and generates.

    Args:
        located: where it is (`hopline.use.locate`).
    """

    def __init__(self, located: Located) -> None:
        self.located = located
        self.exported = Exported(located.folder)

    def __repr__(self) -> str:
        return f"Model({self.located.place}, {self.parameters or 0:,} parameters, {len(self.vocabulary):,} words)"

    def __contains__(self, word: str) -> bool:
        return word in self._index

    @functools.cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The words by id; `<pad>`, `<unk>` and `<eos>` come first."""
        text = (self.located.folder / VOCABULARY_FILE).read_text(encoding="utf-8")
        return tuple(text.removesuffix("\n").split("\n"))

    @property
    def tokeniser(self) -> str:
        """How the model cuts text, see `hopline.model.tokenisers`."""
        return str(self.located.manifest.facts.get("tokeniser", DEFAULT_TOKENISER))

    @property
    def parameters(self) -> int | None:
        """Number of weights, as the manifest says."""
        found = self.located.manifest.facts.get("parameters")
        return None if found is None else int(found)

    @property
    def card(self) -> str | None:
        """The model card as text; None if the model has none."""
        found = (self.located.folder / name for name in _CARDS)
        return next((path.read_text(encoding="utf-8") for path in found if path.is_file()), None)

    def score(self, texts: str | Sequence[str], cache: CacheConfig | None = None) -> list[Scored]:
        """Scores texts, each by itself; a newline is a token.

        Args:
            texts: any number of them, also empty ones.
            cache: mixes a neural cache into the probabilities.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        results: list[Scored] = []
        for batch in ([text] for text in texts) if cache else _batches(texts):  # each text has a cache of its own
            if cache or len(batch[0]) > pieces.PIECE:
                whole = pieces.cut(batch, "the text", anywhere=self.by_character)
                results.append(joined(list(self.score_pieces(whole, cache))))
                continue
            found = self.exported.call("score", text=batch)
            for text, start, end in zip(batch, found["row_splits"][:-1], found["row_splits"][1:], strict=True):
                part = {name: found[name][start:end] for name in ("words", "ids", "nll")}
                results.append(_scored(part, len(text)))
        return results

    def score_pieces(self, texts: Iterable[str], cache: CacheConfig | None = None) -> Iterator[Scored]:
        """Scores one document piece by piece, as if it were one text; see `hopline.use.pieces.cut`."""
        context, memory = self._begin(), Cache(cache) if cache else None
        for text in texts:
            found = self.exported.call("states" if memory else "score_piece", context=context, text=text)
            context = found["context"]
            if memory:
                found["nll"] = memory.mixed(found["states"], found["ids"], found["nll"])
            yield _scored(found, len(text))

    def perplexity(self, text: str, cache: CacheConfig | None = None) -> float:
        """The perplexity of `text`; NaN if it has no token."""
        return self.score(text, cache)[0].perplexity

    def next_words(self, text: str, k: int = 5) -> list[tuple[str, float]]:
        """The k likeliest words after `text` with their probabilities, likeliest first."""
        found = self.exported.call("next_words", text=[text], k=k)
        return list(zip(_texts(found["words"][0]), map(float, found["probabilities"][0]), strict=True))

    def nearest(self, word: str, k: int = 10) -> list[tuple[str, float]]:
        """The k words whose output vectors point most nearly where `word`'s does, with the cosines.

        Raises:
            UserError: the vocabulary does not hold it.
        """
        if word not in self:
            raise UserError(f'the vocabulary does not hold "{word}"', remedy="ask for a word of model.vocabulary")
        found = self.exported.call("nearest", word=word, k=k)
        return list(zip(_texts(found["words"]), map(float, found["similarities"]), strict=True))

    def alternatives(self, text: str, k: int = 5) -> tuple[Scored, list[list[tuple[str, float]]]]:
        """The scored tokens of `text` and, at each place, the k likeliest words with their log-probabilities."""
        found = self.exported.call("alternatives", context=self._begin(), text=text, k=k)
        rows = zip(found["alternatives"], found["alternative_log_probabilities"], strict=True)
        likeliest = [list(zip(_texts(words), map(float, numbers), strict=True)) for words, numbers in rows]
        return _scored(found, len(text)), likeliest

    def attention(self, text: str) -> Attention:
        """What every hop reads at each token of `text`."""
        found = self.exported.call("attention", context=self._begin(), text=text)
        slots = found["attention"]  # (N, K, S), oldest first: the last slot is the token before
        count, hops, memory = slots.shape
        reads = np.zeros((count, hops, count), np.float32)
        for place in range(count):
            seen = min(place, memory)
            reads[place, :, place - seen : place] = slots[place, :, memory - seen :]
        return Attention(_scored(found, len(text)), reads)

    def generate(
        self,
        text: str = "",
        *,
        tokens: int = 30,
        n: int = 1,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        unknown: bool = False,
    ) -> list[str]:
        """Continuations of `text`, as text that stands behind it.

        Args:
            text: what to continue; "" for the beginning of a document.
            tokens: how many words at most.
            n: how many continuations.
            temperature: see `Choice`.
            top_k: see `Choice`.
            top_p: see `Choice`.
            seed: see `Choice`.
            stop: one word, or several; see `Choice`.
            unknown: see `Choice`.
        """
        choice = Choice(temperature, top_k, top_p, seed, (stop,) if isinstance(stop, str) else tuple(stop), unknown)
        drawn: list[list[str]] = [[] for _ in range(n)]
        for part in self.stream(text, tokens=tokens, n=n, choice=choice, at_once=tokens):
            for row, words in zip(drawn, part, strict=True):
                row.extend(words.words)
        return [self.joined(text, words) for words in drawn]

    def stream(self, text: str, *, tokens: int, choice: Choice, n: int = 1, at_once: int = 1) -> Iterator[list[Words]]:
        """Draws words for n continuations of `text`, `at_once` of them at a time: the same whatever that is.

        Yields:
            For each continuation the words that were drawn since; the last when all have ended or have `tokens` words.

        Raises:
            UserError: `tokens` or `n` is out of bounds.
        """
        for name, value, least, most in (("tokens", tokens, 0, LONGEST), ("n", n, 1, 1000)):
            if not least <= value <= most:
                raise UserError(f"{name} is {value}, but must be {least} to {most:,}", remedy=f"correct {name}")
        how = {**vars(choice), "stop": list(choice.stop)}
        state = self.exported.call("begin", text=[text] * n)
        done, running = 0, [True] * n
        while done < tokens and any(running):
            count = min(max(1, at_once), tokens - done)
            kept = {"context": state["context"], "ended": state["ended"]}
            state = self.exported.call("extend", **kept, first=done, tokens=count, **how)
            yield [_words(state, row) if running[row] else Words((), (), (), True) for row in range(n)]
            running = [not ended for ended in state["ended"]]
            done += count

    def joined(self, text: str, words: Sequence[str]) -> str:
        """`words` as text that stands behind `text`."""
        running = RunningText(text, self.words_of(text), self.tokeniser)
        return running.add(words) + running.rest()

    def words_of(self, text: str) -> list[str]:
        """The tokens of `text`, as the model reads them."""
        lowercase = bool(self.located.manifest.facts.get("lowercase", False))
        return tokenise(text, self.tokeniser, lowercase=lowercase)

    @property
    def by_character(self) -> bool:
        """Whether a token is a character."""
        return self.tokeniser == "characters"

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.vocabulary)}

    @functools.cached_property
    def reach(self) -> int:
        """How many words back the model sees: its memory."""
        return self.exported.width("score_piece", "context")

    def _begin(self) -> Any:
        return np.full(self.reach, PAD, np.int32)


def joined(parts: Sequence[Scored]) -> Scored:
    """Consecutive pieces as one; of none, an empty text."""
    words = tuple(word for part in parts for word in part.words)
    ids = np.concatenate([np.zeros(0, np.int64), *(part.ids for part in parts)])
    nll = np.concatenate([np.zeros(0, np.float32), *(part.nll for part in parts)])
    return Scored(words, ids, nll, sum(part.characters for part in parts))


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and characters + len(text) > _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _scored(found: dict[str, Any], characters: int) -> Scored:
    return Scored(tuple(_texts(found["words"])), found["ids"], found["nll"], characters)


def _texts(words: Iterable[bytes]) -> list[str]:
    return [word.decode("utf-8", errors="replace") for word in words]


def _words(state: dict[str, Any], row: int) -> Words:
    length = int(state["lengths"][row])
    rows = zip(state["alternatives"][row][:length], state["alternative_log_probabilities"][row], strict=False)
    alternatives = tuple(tuple(zip(_texts(words), map(float, numbers), strict=True)) for words, numbers in rows)
    log_probs = tuple(map(float, state["log_probabilities"][row][:length]))
    return Words(tuple(_texts(state["words"][row][:length])), log_probs, alternatives, bool(state["ended"][row]))
