"""Numbers that compare two models on the same text, whatever their vocabularies and tokenisers.

A model gives all words that it does not know one probability, that of `<unk>`.  To compare models, what one such
word costs is made explicit, by one of two rules.  (`<eos>` is known to every model.  `<pad>` is never predicted, and
`<unk>` names the class: typed in the text, it is one more unknown word.)

*Tokens*, where both models cut the text into the same tokens.  Let the universe U be the words of both vocabularies
and the distinct words of the split, as written, and let model m know K_m of them.  Then

    P_m(w) = p_m(w)                        if m knows w
    P_m(w) = p_m(<unk>) / |U - K_m|        otherwise

which sums to one over U.  In nats, an unknown word costs log |U - K_m| more: a model that calls everything `<unk>`
pays close to log |U| for every word, no better than guessing.  Where both vocabularies are the same, the ratio of the
perplexities is that of the ordinary ones.

*Characters*, where the tokenisers differ: losses are summed over the same raw text and divided by its characters.  A
token of one tokeniser is none of the other, so an unknown one is spelled out, as one of A characters or an end mark:

    P_m(w) = p_m(<unk>) / (A + 1)^(len(w) + 1)

which sums to one over all strings; A is the number of distinct characters in both vocabularies and the split.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.bootstrap import Floats, Pairs
from components.evaluate.scores import Scores
from components.evaluate.text import Document
from hopline.artifacts import Manifest
from hopline.runtime.errors import UserError
from hopline.schema import EOS, UNKNOWN, VOCABULARY_FILE

TOKENS, CHARACTERS = "tokens", "characters"
RULES = {
    TOKENS: "token by token: both models cut the text into the same tokens",
    CHARACTERS: "per character: the models' tokenisers differ, so losses are summed over the same raw text",
}
_DEFAULT_TOKENISER = "whitespace"  # of models made before there was a choice


@dataclass(frozen=True)
class Reader:
    """How a model reads text.

    Attributes:
        tokeniser: the name of its tokeniser.
        lowercase: whether it lowercases first.
        words: the words that it knows, `<eos>` among them.
    """

    tokeniser: str
    lowercase: bool
    words: frozenset[str]

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> "Reader":
        """That of the model in `folder`, from its vocabulary and manifest.

        Raises:
            UserError: the model has no vocabulary.
        """
        try:
            lines = (folder / VOCABULARY_FILE).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except OSError as error:
            raise UserError(
                f"the model in {folder} has no {VOCABULARY_FILE}", remedy="train it again with this version of hopline"
            ) from error
        facts: dict[str, Any] = manifest.facts
        tokeniser = str(facts.get("tokeniser", _DEFAULT_TOKENISER))
        return cls(tokeniser, bool(facts.get("lowercase", False)), frozenset(lines[UNKNOWN + 1 :]))


def choose_rule(challenger: Reader, champion: Reader | None) -> str:
    """`TOKENS` or `CHARACTERS`.

    Raises:
        UserError: one lowercases and the other does not: their texts have not the same content.
    """
    if champion is None:
        return TOKENS
    if challenger.lowercase != champion.lowercase:
        lowercases = "challenger" if challenger.lowercase else "champion"
        raise UserError(
            f"only the {lowercases} lowercases, so challenger and champion predict different texts",
            remedy="keep preprocess.lowercase as the champion had it, or use another --output with its own registry",
        )
    return TOKENS if challenger.tokeniser == champion.tokeniser else CHARACTERS


def unknown_costs(
    rule: str, words: Sequence[str], reader: Reader, other: Reader | None, documents: Iterable[Document]
) -> tuple[Floats, int]:
    """What each distinct word of the split costs more where the model calls it `<unk>`.

    Args:
        rule: `TOKENS` or `CHARACTERS`.
        words: the distinct words of the split, as the model's tokeniser cuts them.
        reader: of the model.
        other: of the model that it is compared with, if there is one.
        documents: the split.

    Returns:
        Shape (words,), in nats, and the number of the words of the universe (or the split) that the model does not
        know.
    """
    others = other.words if other else frozenset()
    if rule == TOKENS:
        unknown = len(reader.words.union(others, words) - reader.words)
        return np.full(len(words), np.log(max(unknown, 1))), unknown
    characters = set().union(*reader.words, *others, *(document.text for document in documents))
    lengths = np.array([len(word) for word in words], np.float64)
    return (lengths + 1) * np.log(len(characters) + 1), len(frozenset(words) - reader.words)


def comparable_nll(scores: Scores, costs: Floats) -> Floats:
    """Negative log-likelihoods of the words as written, shape (N,), in nats.

    Args:
        scores: of N tokens.
        costs: shape (distinct words,), see `unknown_costs`.
    """
    return scores.nll.astype(np.float64) + np.where(scores.ids == UNKNOWN, costs[scores.word_index], 0.0)


def require_same_words(challenger: Scores, champion: Scores) -> None:
    """Scores pair token by token only where both models read the same words.

    Raises:
        UserError: they do not; the message shows the first that differs.
    """
    ours, theirs = challenger.surface(), champion.surface()
    if ours == theirs:
        return
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
    where = (
        f"{len(ours):,} and {len(theirs):,} tokens"
        if place is None
        else f"token {place:,} is {ours[place]!r} to the challenger and {theirs[place]!r} to the champion"
    )
    raise UserError(
        f"challenger and champion cut the same text into different words ({where}), so their scores do not compare",
        remedy="use another --output, with a registry of its own",
    )


def token_pairs(challenger: Floats, champion: Floats, documents: npt.NDArray[np.integer]) -> Pairs:
    """Pairs token by token.

    Args:
        challenger: shape (N,), in nats.
        champion: shape (N,), of the same tokens.
        documents: shape (N,), the number of each token's document.
    """
    with np.errstate(invalid="ignore"):
        difference = challenger - champion
    ones = np.ones(len(difference))
    return Pairs(difference, ones, ones, documents.astype(np.int64))


def line_pairs(
    challenger: tuple[Scores, Floats], champion: tuple[Scores, Floats], documents: Sequence[Document]
) -> Pairs:
    """Pairs line by line, since every tokeniser makes an `<eos>` of every newline; sizes are characters.

    A document whose lines do not match in number (it holds a typed `<eos>`) is one piece.

    Args:
        challenger: its scores, and shape (N,), what each token costs in nats.
        champion: likewise, of other tokens of the same text.
        documents: the split.
    """
    differences, sizes, tokens = [], [], []
    ours, theirs = (_by_document(*side) for side in (challenger, champion))
    for document, (our_nll, our_ids), (their_nll, their_ids) in zip(documents, ours, theirs, strict=True):
        lines = np.array([len(line) + 1 for line in document.text.split("\n")])
        lines[-1] -= 1  # no newline after the last
        if not lines[-1]:
            lines = lines[:-1]
        our_lines, our_tokens = _line_sums(our_nll, our_ids)
        their_lines, _ = _line_sums(their_nll, their_ids)
        if not len(our_lines) == len(their_lines) == len(lines):
            our_lines, their_lines = our_nll.sum(keepdims=True), their_nll.sum(keepdims=True)
            our_tokens, lines = np.array([len(our_nll)]), np.array([len(document.text)])
        with np.errstate(invalid="ignore"):
            differences.append(our_lines - their_lines)
        sizes.append(lines.astype(np.float64))
        tokens.append(our_tokens.astype(np.float64))
    number = np.repeat(np.arange(len(documents)), [len(part) for part in sizes])
    return Pairs(np.concatenate(differences), np.concatenate(sizes), np.concatenate(tokens), number)


def _by_document(scores: Scores, nll: Floats) -> list[tuple[Floats, npt.NDArray[np.int64]]]:
    ends = np.cumsum(scores.lengths)[:-1]
    return list(zip(np.split(nll, ends), np.split(scores.ids, ends), strict=True))


def _line_sums(nll: Floats, ids: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The sum and the number of the tokens of each line, `<eos>` being its last."""
    if not len(ids):
        return np.zeros(0), np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], ids[:-1] == EOS]))
    return np.add.reduceat(nll, starts), np.diff(starts, append=len(ids))
