"""Corpora for the preprocess program, and what it made of them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.preprocess.profile import profile_of
from components.preprocess.statistics import Tally
from hopline import artifacts
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.corpus.files import fingerprint, source_files
from hopline.model.streams import read_shard
from hopline.registry.registry import Registry
from hopline.runtime.errors import HoplineError
from hopline.schema import EXAMPLES, PROFILE_FILE, RESERVED_WORDS, SPLITS, VOCABULARY_FILE

ONE_SPLIT = {"valid_fraction": 0.0, "test_fraction": 0.0}


@dataclass
class Case:
    """A corpus and its configuration; `patterns` are names below the corpus folder."""

    files: dict[str, str | bytes]
    corpus: dict
    options: dict
    stale: bool = False
    promoted: tuple[str, ...] = ()  # the champion's words, reserved ones not counted
    before: str = ""  # the text of a champion of another corpus


def case(files, *, stale=False, promoted=(), before="", corpus=ONE_SPLIT, **options):
    options = {"tokeniser": "whitespace", "min_count": 1} | options
    return Case(files if isinstance(files, dict) else {"text": files}, dict(corpus), options, stale, promoted, before)


def profile_of_text(text):
    """The profile of a training text of one document whose words are all known."""
    counts = Counter(text.split())
    tally = Tally(np.array([0, 0, text.count("\n"), *counts.values()]), lengths=Counter({counts.total(): 1}))
    return profile_of({"train": tally.summary()}, [*RESERVED_WORDS, *counts], tokeniser="whitespace", lowercase=False)


def promote_vocabulary(folder, words, *, tokeniser="whitespace", lowercase=False, profile=""):
    """Makes a champion that knows these words in the registry in `folder`; returns its id."""
    registry = Registry(folder / "registry")
    champion = registry.champion()
    model = folder / f"model-{champion.version + 1 if champion else 1}"
    model.mkdir(parents=True)
    text = "".join(f"{word}\n" for word in (*RESERVED_WORDS, *words))
    (model / VOCABULARY_FILE).write_text(text, encoding="utf-8")
    if profile:
        (model / PROFILE_FILE).write_text(profile, encoding="utf-8")
    facts = {"fingerprint": "f", "tokeniser": tokeniser, "lowercase": lowercase}
    manifest = artifacts.seal(model, "model", parents={}, config={}, facts=facts)
    compared = champion.model_id if champion else ""
    registry.promote(model, evaluation=model.name, perplexity=1.0, split="valid", compared_with=compared)
    return manifest.id


@dataclass
class Outcome:
    code: int
    failure: HoplineError | None
    output: Path

    @property
    def manifest(self):
        return artifacts.verify(self.output, EXAMPLES)

    @property
    def vocabulary(self):
        return (self.output / "vocabulary.txt").read_text(encoding="utf-8").split("\n")[:-1]

    @property
    def statistics(self):
        return json.loads((self.output / "statistics.json").read_text())

    @property
    def page(self):
        return (self.output / "report.html").read_text(encoding="utf-8")

    def shards(self, split):
        return sorted((self.output / "shards").glob(f"{split}-*"))

    def tokens(self, split):
        """By document."""
        found = {}
        for shard in self.shards(split):
            for passage in read_shard(shard):
                found.setdefault(passage.document, []).extend(passage.tokens[passage.look_behind :].tolist())
        return found


def prepare(folder, case):
    """Writes the case's corpus; returns the program's arguments."""
    for name, content in case.files.items():
        path = folder / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    patterns = {split: str(folder / "corpus" / case.corpus[split]) for split in SPLITS if split in case.corpus}
    corpus = CorpusConfig(**{"train": str(folder / "corpus"), **case.corpus, **patterns})
    found = fingerprint(corpus, source_files(corpus, folder))
    arguments = {
        "corpus-config": corpus.to_json(),
        "preprocess-config": PreprocessConfig(**case.options).to_json(),
        "fingerprint": "of another corpus" if case.stale else found,
        "output": str(folder / "examples"),
        "work-dir": str(folder / "work"),
    }
    if case.promoted:
        promoted = promote_vocabulary(folder, case.promoted)
        arguments |= {"registry": str(folder / "registry"), "vocabulary-from": promoted}
    if case.before:
        promoted = promote_vocabulary(
            folder, sorted({*case.before.split()}), profile=profile_of_text(case.before).to_json()
        )
        arguments |= {"registry": str(folder / "registry"), "drift-from": promoted}
    return [part for name, value in arguments.items() for part in (f"--{name}", value)]
