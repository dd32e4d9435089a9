"""A trained model in Python: scores, continuations, likeliest words.  `hopline.load` makes one."""

import functools
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
from hopline.use.drawing import Choice, Words, draw, require_bounded
from hopline.use.exported import Exported, texts_of
from hopline.use.locate import Located
from hopline.use.running import RunningText
from hopline.use.scored import Scored

_BATCH_CHARACTERS = 1 << 16  # of short texts that are scored in one call
_CARDS = ("README.md", "MODEL_CARD.md", "card.md")
DEFAULT_TOKENISER = "whitespace"  # of models made before there was a choice


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
        """How the model splits text, see `hopline.model.tokenisers`."""
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
        # With a cache each text is by itself: it has a cache of its own.
        batches = ([text] for text in texts) if cache else pieces.batches(texts, _BATCH_CHARACTERS)
        for batch in batches:
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
        return list(zip(texts_of(found["words"][0]), map(float, found["probabilities"][0]), strict=True))

    def nearest(self, word: str, k: int = 10) -> list[tuple[str, float]]:
        """The k words whose output vectors point most nearly where `word`'s does, with the cosines.

        Raises:
            UserError: the vocabulary does not hold it.
        """
        if word not in self:
            raise UserError(f'the vocabulary does not hold "{word}"', remedy="ask for a word of model.vocabulary")
        found = self.exported.call("nearest", word=word, k=k)
        return list(zip(texts_of(found["words"]), map(float, found["similarities"]), strict=True))

    def alternatives(self, text: str, k: int = 5) -> tuple[Scored, list[list[tuple[str, float]]]]:
        """The scored tokens of `text` and, at each place, the k likeliest words with their log-probabilities."""
        found = self.exported.call("alternatives", context=self._begin(), text=text, k=k)
        rows = zip(found["alternatives"], found["alternative_log_probabilities"], strict=True)
        likeliest = [list(zip(texts_of(words), map(float, numbers), strict=True)) for words, numbers in rows]
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
        cache: CacheConfig | None = None,
    ) -> list[str]:
        """Continuations of `text`, without it.

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
            cache: see `stream`.
        """
        choice = Choice(temperature, top_k, top_p, seed, (stop,) if isinstance(stop, str) else tuple(stop), unknown)
        drawn: list[list[str]] = [[] for _ in range(n)]
        for part in self.stream(text, tokens=tokens, n=n, choice=choice, at_once=tokens, cache=cache):
            for row, words in zip(drawn, part, strict=True):
                row.extend(words.words)
        return [self.joined(text, words) for words in drawn]

    def stream(
        self,
        text: str,
        *,
        tokens: int,
        choice: Choice,
        n: int = 1,
        at_once: int = 1,
        cache: CacheConfig | None = None,
    ) -> Iterator[list[Words]]:
        """Draws words for n continuations of `text`, `at_once` of them at a time: the same whatever that is.

        Args:
            text: what to continue.
            tokens: how many words at most.
            choice: how they are drawn.
            n: how many continuations.
            at_once: words of one call.
            cache: mixes into the probabilities a neural cache of the words of `text` and those drawn.

        Yields:
            For each continuation the words that were drawn since; the last when all have ended or have `tokens` words.

        Raises:
            UserError: `tokens` or `n` is out of bounds.
        """
        require_bounded(tokens, n)
        held = self._cache_of(text, tokens, n, cache) if cache else None
        return draw(self.exported, text, tokens=tokens, choice=choice, n=n, at_once=at_once, cache=held)

    def _cache_of(self, text: str, tokens: int, n: int, config: CacheConfig) -> dict[str, Any]:
        """A neural cache of the words of `text`, with room for `tokens`, as "extend" takes it for n texts."""
        width = self.exported.width("extend", "cache_states")
        states, ids = np.zeros((0, width), np.float32), np.zeros(0, np.int32)
        context = self._begin()
        for part in pieces.cut([text], "the text", anywhere=self.by_character):
            found = self.exported.call("states", context=context, text=part)
            context = found["context"]
            states = np.concatenate([states, found["states"]])[-config.window :]
            ids = np.concatenate([ids, found["ids"].astype(np.int32)])[-config.window :]
        missing = min(config.window - len(ids), tokens)  # filled by the words that are drawn
        return {
            "cache_states": np.tile(np.pad(states, ((missing, 0), (0, 0))), (n, 1, 1)),
            "cache_ids": np.tile(np.pad(ids, (missing, 0), constant_values=PAD), (n, 1)),
            "cache_weight": config.weight,
            "cache_flatness": config.flatness,
        }

    def joined(self, text: str, words: Sequence[str]) -> str:
        """`words` as the text that continues `text`."""
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


def _scored(found: dict[str, Any], characters: int) -> Scored:
    return Scored(tuple(texts_of(found["words"])), found["ids"], found["nll"], characters)
