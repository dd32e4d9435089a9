"""Builds `examples/` (hopline.schema): plans the ranges, runs both passes, checks what came of them, and seals it."""

import itertools
from pathlib import Path

import numpy as np

from components.preprocess.plan import cut, with_splits
from components.preprocess.statistics import Tally
from components.preprocess.vocabulary import Vocabulary
from hopline.artifacts import canonical_json, seal
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.section import require
from hopline.corpus.files import fetch, fingerprint, source_files
from hopline.runtime.errors import InternalError
from hopline.schema import (
    EXAMPLES,
    RESERVED_WORDS,
    SHARDS_FOLDER,
    SPLITS,
    STATISTICS_FILE,
    TEXT_FOLDER,
    TRANSFORM_FOLDER,
    VOCABULARY_FILE,
    shard_name,
)
from hopline.store.folders import link, place, write_text


def build(
    corpus: CorpusConfig,
    config: PreprocessConfig,
    expected: str,
    vocabulary: Vocabulary | None,
    scratch: Path,
    result: Path,
) -> None:
    """Writes the sealed examples into the empty folder `result`.

    Work in progress is kept in `scratch`: given to a later call, finished parts are not made again.

    Args:
        corpus: where the text is.
        config: how it becomes tokens.
        expected: the fingerprint that resolve found.
        vocabulary: the words to know, or None to count them in the training text.
        scratch: a folder that all workers share.
        result: where the examples go.

    Raises:
        UserError: the corpus, or what came of it, breaks a rule; the message names it.
    """
    files = source_files(corpus, scratch)
    require(
        fingerprint(corpus, files) == expected,
        f"the corpus has changed: its fingerprint is no longer {expected}",
        "run the pipeline again, from resolve on",
    )
    fetch(files, "preprocess")
    files = with_splits(files, corpus)
    if corpus.documents == "file":
        _require_splits({file.split for file in files}, corpus)
    ranges = cut(files, corpus.documents, config.shard_bytes)

    # TensorFlow and Beam take ten seconds to import: everything that can fail before, has.
    from components.preprocess import passes
    from components.preprocess.tokenise import read_vocabulary, write_transform

    transform = scratch / TRANSFORM_FOLDER
    if vocabulary and not transform.exists():
        write_transform(vocabulary.words, transform, config)
    elif not transform.exists():
        training = [work for work in ranges if any(segment.split in ("", "train") for segment in work.segments)]
        passes.analyse(training, corpus, config, scratch, transform)
    words = read_vocabulary(transform)
    passes.encode_all(ranges, corpus, config, scratch, transform=transform, words=len(words))

    tallies = _collect([passes.range_folder(scratch, work) for work in ranges], result, len(words))
    _require_splits({split for split, tally in tallies.items() if tally.tokens}, corpus)
    if not vocabulary:
        _check_vocabulary(words, tallies["train"], config)
    _check_rates(tallies, config)
    place(transform, result / TRANSFORM_FOLDER)
    write_text(result / VOCABULARY_FILE, "".join(f"{word}\n" for word in words))
    summaries = {split: tally.summary() for split, tally in tallies.items()}
    write_text(result / STATISTICS_FILE, canonical_json(summaries) + "\n")
    seal(
        result,
        EXAMPLES,
        parents={"vocabulary": vocabulary.model_id} if vocabulary else {},
        config={corpus.name: corpus.to_dict(), config.name: config.to_dict()},
        counts={
            split: {"documents": entry["documents"], "tokens": entry["tokens"], "targets": entry["tokens"]}
            for split, entry in summaries.items()
        },
        facts={
            "vocabulary_size": len(words),
            "tokeniser": config.tokeniser,
            "lowercase": config.lowercase,
            "fingerprint": expected,
        },
    )


def _require_splits(found: set[str], corpus: CorpusConfig) -> None:
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


def _collect(folders: list[Path], result: Path, words: int) -> dict[str, Tally]:
    """Gives the shards of all ranges their final names in `result` and adds up their tallies, by split."""
    tallies = {}
    for split in SPLITS:
        holding = [folder for folder in folders if (folder / f"{split}.npz").exists()]
        if not holding:
            continue
        tallies[split] = Tally(np.zeros(words, np.int64))
        for index, folder in enumerate(holding):
            tallies[split].add(Tally.load(folder / f"{split}.npz"))
            name = shard_name(split, index, len(holding))
            for extension, place_ in ((".tfrecord", SHARDS_FOLDER), (".jsonl", TEXT_FOLDER)):
                if (source := folder / (split + extension)).exists():
                    (result / place_).mkdir(exist_ok=True)
                    link(source, result / place_ / (name + extension))
    return tallies


def _check_vocabulary(words: list[str], train: Tally, config: PreprocessConfig) -> None:
    """The vocabulary is what the counts of the training text say it should be.

    TensorFlow Transform writes it in order by a property of the runner it does not promise, so it is
    checked: frequency first, then the greater word.
    """
    first = len(RESERVED_WORDS)
    counts = train.word_counts[first:].tolist()
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


def _check_rates(tallies: dict[str, Tally], config: PreprocessConfig) -> None:
    for split, tally in tallies.items():
        require(
            tally.unknown_rate <= config.max_unknown_rate,
            f"{tally.unknown_rate:.1%} of the {split} split is unknown, "
            f"but preprocess.max_unknown_rate allows {config.max_unknown_rate:.1%}",
            "check that the splits hold the same kind of text, "
            + ('set preprocess.vocabulary = "own"' if config.vocabulary == "champion" else "raise preprocess.max_words")
            + ", or allow more",
        )
