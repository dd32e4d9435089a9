"""Builds `examples/` (hopline.schema): plans the ranges, runs both passes, checks what came of them, and seals it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from components.preprocess.contract import (
    require_contract,
    require_few_skipped,
    require_held_out,
    require_splits,
    require_vocabulary,
)
from components.preprocess.overlap import LENGTHS, Overlap, compare, thinning
from components.preprocess.plan import Range, cut, with_splits
from components.preprocess.profile import profile_of
from components.preprocess.reading import SOURCES, Skipped
from components.preprocess.statistics import Tally
from components.preprocess.vocabulary import Vocabulary
from hopline.artifacts import canonical_json, seal
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.section import require
from hopline.corpus.files import SourceFile, fetch, fingerprint, source_files
from hopline.corpus.local import divide
from hopline.corpus.stamps import Stamps
from hopline.schema import (
    EVALUATION_SPLITS,
    EXAMPLES,
    PROFILE_FILE,
    RESERVED_WORDS,
    SHARDS_FOLDER,
    SPLITS,
    STATISTICS_FILE,
    TEXT_FOLDER,
    TRANSFORM_FOLDER,
    VOCABULARY_FILE,
    shard_name,
)
from hopline.store.folders import link, place, remove_tree, write_json, write_text

# Of the statistics of a split.
_IN_MANIFEST = ("words", "types", "unknown_tokens", "unknown_rate", "characters", "in_training")


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
    files, before = _unchanged_files(corpus, expected, scratch)
    files = with_splits(files, corpus)
    if corpus.documents == "file":
        require_splits({file.split for file in files}, corpus)
    ranges = cut(files, corpus.documents, config.shard_bytes)

    # TensorFlow and Beam take ten seconds to import: everything that can fail before, has.
    from components.preprocess import passes
    from components.preprocess.encode import Encoding
    from components.preprocess.tokenise import write_transform

    words = vocabulary.words if vocabulary else _counted(ranges, corpus, config, scratch, before)
    transform = scratch / TRANSFORM_FOLDER
    if not transform.exists():
        write_transform(words, transform, scratch, config)
    take = thinning(sum(file.size for file in files))
    encoding = Encoding(corpus, config.tokeniser, config.context, len(words), take)
    passes.encode_all(ranges, config, scratch, transform=transform, encoding=encoding, stamps=before)
    before.require_unchanged()

    folders = [passes.range_folder(scratch, work) for work in ranges]
    skipped = require_few_skipped([_skipped(folder) for folder in folders], corpus)
    tallies = _collect(folders, result, len(words))
    require_splits({split for split, tally in tallies.items() if tally.tokens}, corpus)
    if not vocabulary:
        require_vocabulary(words, tallies["train"], config)
    require_contract(tallies, config)
    overlaps = _overlaps(folders, tallies, config)
    require_held_out(overlaps, config)
    place(transform, result / TRANSFORM_FOLDER)
    summaries = _summarised(tallies, overlaps, result)
    _describe(result, words, summaries, config)
    seal(
        result,
        EXAMPLES,
        parents={"vocabulary": vocabulary.model_id} if vocabulary else {},
        config={corpus.name: _recorded(corpus), config.name: config.determining()},
        counts={
            split: {"documents": entry["documents"], "tokens": entry["tokens"], "targets": entry["tokens"]}
            for split, entry in summaries.items()
        },
        facts={
            "vocabulary_size": len(words),
            "tokeniser": config.tokeniser,
            "lowercase": config.lowercase,
            "fingerprint": expected,
            "skipped_lines": skipped,
            "corpus_bytes": sum(file.size for file in files),
            "statistics": {
                split: {key: entry[key] for key in _IN_MANIFEST if key in entry} for split, entry in summaries.items()
            },
        },
    )


def _unchanged_files(corpus: CorpusConfig, expected: str, scratch: Path) -> tuple[list[SourceFile], Stamps]:
    """The corpus's files, here, with their fingerprint as resolve found it; and their stamps."""
    files = source_files(corpus, scratch)
    # Before the files are read for the first time.
    stamps = Stamps(file.path for file in files if not file.origin)
    require(
        fingerprint(corpus, files) == expected,
        f"the corpus has changed: its fingerprint is no longer {expected}",
        "run the pipeline again, from resolve on",
    )
    fetch(files, "preprocess")
    stamps.add(file.path for file in files if file.origin)
    return files, stamps


def _summarised(tallies: dict[str, Tally], overlaps: dict[str, Overlap], result: Path) -> dict[str, dict[str, Any]]:
    """The statistics of each split, for the report and the manifest."""
    from components.preprocess.beginnings import beginnings

    summaries = {split: tally.summary() for split, tally in tallies.items()}
    for split, overlap in overlaps.items():
        summaries[split]["in_training"] = overlap.summary()
    for split, summary in summaries.items():
        summary["beginnings"] = beginnings(sorted((result / SHARDS_FOLDER).glob(f"{split}-*")))
    return summaries


def _describe(result: Path, words: list[str], summaries: dict[str, dict[str, Any]], config: PreprocessConfig) -> None:
    """Writes the vocabulary, the statistics and the profile."""
    write_text(result / VOCABULARY_FILE, "".join(f"{word}\n" for word in words))
    write_text(result / STATISTICS_FILE, canonical_json(summaries) + "\n")
    profile = profile_of(summaries, words, tokeniser=config.tokeniser, lowercase=config.lowercase)
    write_text(result / PROFILE_FILE, profile.to_json() + "\n")


def _recorded(corpus: CorpusConfig) -> dict[str, Any]:
    """The section for the manifest: of a path here the part that names files, not where this machine keeps them."""
    values = corpus.to_dict()
    for split in SPLITS:
        if Path(pattern := values[split]).is_absolute():
            root, parts = divide(Path(pattern))
            values[split] = "/".join(parts) or root.name
    return values


def _counted(
    ranges: list[Range], corpus: CorpusConfig, config: PreprocessConfig, scratch: Path, before: Stamps
) -> list[str]:
    """The words of the training text by id, counted now or, of these very files, by a run that was killed."""
    from components.preprocess import passes

    training = [work for work in ranges if any(segment.split in ("", "train") for segment in work.segments)]
    stored = scratch / "words.json"
    if stored.exists():
        found = json.loads(stored.read_text(encoding="utf-8"))
        if before.hold(found["sources"]):
            return list(found["words"])
        remove_tree(scratch / TRANSFORM_FOLDER)
        remove_tree(scratch / "ranges")
    words = [*RESERVED_WORDS, *passes.count_words(training, corpus, config, scratch)]
    before.require_unchanged()
    write_json(stored, {"words": words, "sources": before.all})
    return words


def _skipped(folder: Path) -> Skipped:
    return Skipped(**json.loads((folder / SOURCES).read_text(encoding="utf-8"))["skipped"])


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


def _overlaps(folders: list[Path], tallies: dict[str, Tally], config: PreprocessConfig) -> dict[str, Overlap]:
    """What of each held-out split stands in the training split."""

    def hashes(split: str) -> list[Path]:
        return [path for folder in folders if (path := folder / f"{split}.hashes.npz").exists()]

    lengths = LENGTHS[config.tokeniser]
    held_out = [split for split in EVALUATION_SPLITS if split in tallies]
    return {split: compare(hashes(split), hashes("train"), lengths) for split in held_out}
