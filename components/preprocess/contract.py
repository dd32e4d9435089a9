"""The data contract: what stops a run before anything is trained, each named with its figures and its remedy."""

import itertools
import sys
from collections.abc import Mapping, Sequence

from components.preprocess.overlap import Overlap
from components.preprocess.reading import Skipped
from components.preprocess.statistics import Tally
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.section import require
from hopline.runtime.errors import InternalError
from hopline.schema import EVALUATION_SPLITS, RESERVED_WORDS, SPLITS, UNKNOWN


def require_splits(found: set[str], corpus: CorpusConfig) -> None:
    """Every split that the configuration asks for has text."""
    if corpus.split_by_pattern:
        for split in SPLITS:
            pattern = getattr(corpus, split)
            require(
                split in found or not pattern,
                f"the {split} split is empty: corpus.{split} = {pattern} holds no word",
                f"set corpus.{split} to files with text",
            )
        return
    for split, share in (("train", 1.0), ("valid", corpus.valid_fraction), ("test", corpus.test_fraction)):
        require(
            split in found or not share,
            f"the {split} split is empty: documents are cut by hash, and none fell in it (a document is "
            f"a {corpus.documents})",
            "name files in corpus.valid or corpus.test, or set corpus.documents to something smaller, or set "
            "corpus.valid_fraction and corpus.test_fraction: 0 asks for no such split",
        )


def require_few_skipped(skipped: Sequence[Skipped], corpus: CorpusConfig) -> int:
    """The lines that were left out of all ranges are no more than allowed; returns how many they are."""
    lines = sum(part.lines for part in skipped)
    if lines:
        first = next(part.first for part in skipped if part.first)
        message = f"{lines:,} lines are no documents and were left out, the first because {first}"
        require(
            lines <= corpus.skip_lines,
            f"{message}; corpus.skip_lines allows {corpus.skip_lines:,}",
            "correct the lines, or allow more",
        )
        print(f"preprocess: {message}", file=sys.stderr)
    return lines


def require_vocabulary(words: list[str], train: Tally, config: PreprocessConfig) -> None:
    """The vocabulary is what the counts of the training text say it should be: frequency first, then the greater word.

    The words were counted in one pass and are looked up in another, under a runner that both depend on.
    """
    first = len(RESERVED_WORDS)
    counts = train.word_counts[first:].tolist()
    require(bool(train.words), "the training text holds no word, only blanks and line ends", "give it text")
    require(
        any(counts),
        f"the vocabulary is empty: no word of the training text occurs preprocess.min_count = {config.min_count} times",
        "lower preprocess.min_count, or give more text",
    )
    order = [(count, word.encode()) for count, word in zip(counts, words[first:], strict=True)]
    if (
        len(order) > config.max_words
        or min(counts) < config.min_count
        or any(not left > right for left, right in itertools.pairwise(order))
    ):
        raise InternalError(
            "the vocabulary does not follow from the counts of the training text",
            remedy=f"run again; if it persists under preprocess.runner = {config.runner}, use FnApiRunner",
        )


def require_contract(tallies: Mapping[str, Tally], config: PreprocessConfig) -> None:
    """The splits hold text that a model can learn from and be judged on.

    Raises:
        UserError: one does not; the message says which, and gives the value and the limit.
    """
    train = tallies["train"]
    require(
        train.types > 1,
        f"the training text has a single word, {train.words:,} times: there is nothing to predict",
        'give it text; if it has no blanks between words, set preprocess.tokeniser = "words" or "characters"',
    )
    for split, tally in tallies.items():
        require(
            tally.words >= config.min_tokens,
            f"the {split} split has {tally.words:,} words, but preprocess.min_tokens asks for {config.min_tokens:,}",
            "give it more text, or lower preprocess.min_tokens",
        )
        _require_known_words(split, tally, config)
    ratio = train.types / train.words
    require(
        ratio <= config.max_type_ratio,
        f"the training text has {train.types:,} different words among {train.words:,} ({ratio:.1%}), "
        f"but preprocess.max_type_ratio allows {config.max_type_ratio:.1%}: hardly a word comes twice",
        'give more text; if it has no blanks between words, set preprocess.tokeniser = "words" or "characters"',
    )
    unlearned = [split for split, tally in tallies.items() if tally.word_counts[UNKNOWN]]
    require(
        "train" in unlearned or not unlearned,
        "the training text has no unknown word, but "
        + ", ".join(f"{split} has {int(tallies[split].word_counts[UNKNOWN]):,}" for split in unlearned)
        + ": a model would never learn what <unk> costs",
        "raise preprocess.min_count (2 makes words that occur once <unk>) or lower preprocess.max_words",
    )


def _require_known_words(split: str, tally: Tally, config: PreprocessConfig) -> None:
    source = "the champion" if config.vocabulary == "champion" else "the training text"
    require(
        not tally.words or tally.unknown_rate < 1,
        f"none of the {tally.words:,} words of the {split} split is in the vocabulary of {source}",
        "check that the splits hold the same kind of text; if it has no blanks between words, "
        'set preprocess.tokeniser = "words" or "characters"',
    )
    require(
        tally.unknown_rate <= config.max_unknown_rate,
        f"{tally.unknown_rate:.1%} of the words of the {split} split are unknown (line ends are not counted), "
        f"but preprocess.max_unknown_rate allows {config.max_unknown_rate:.1%}",
        "check that the splits hold the same kind of text, "
        + ('set preprocess.vocabulary = "own"' if config.vocabulary == "champion" else "raise preprocess.max_words")
        + ", or allow more",
    )


def require_held_out(overlaps: Mapping[str, Overlap], config: PreprocessConfig) -> None:
    """The held-out splits are not training text; what they share within the limit is a finding.

    Raises:
        UserError: a split shares more than the limit; the message names the files.
    """
    for split in EVALUATION_SPLITS:
        if not (overlap := overlaps.get(split)):
            continue
        files = ", ".join(f"{file['file']} (in {file['in']})" for file in overlap.files[:3])
        shared = (
            f"{overlap.leak:.1%} of the passages of {max(overlap.shares)} tokens of the {split} split, and "
            f"{overlap.documents:,} whole documents, stand in the training text too: {files}"
        )
        require(
            overlap.leak <= config.max_leak,
            f"{shared}; preprocess.max_leak allows {config.max_leak:.1%}",
            "take the files out of one of the two splits, or raise preprocess.max_leak",
        )
