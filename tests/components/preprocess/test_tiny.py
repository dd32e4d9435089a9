"""Next to nothing: every size from no token to three, in every split, through the steps' own functions.

Beam and the transform graph are left out, for they take seconds a corpus; counting, encoding, sealing, the data
contract, and what train and evaluate read of the examples are the programs' own.
"""

import itertools
import json
import sys
import types
import zlib
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import tensorflow as tf

from components.evaluate.__main__ import choose_split
from components.evaluate.baselines import score_baselines
from components.evaluate.text import read_documents
from components.preprocess import counting, examples, reading
from components.preprocess.encode import Tokens, encode
from components.train.loop.batches import Batches
from hopline import artifacts
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.train import TrainConfig
from hopline.corpus.files import fingerprint, source_files
from hopline.model.streams import load_stream
from hopline.model.tokenisers import tokenise
from hopline.runtime.errors import UserError
from hopline.schema import EOS, EXAMPLES, RESERVED_WORDS, SPLITS, TEXT_FOLDER, UNKNOWN

TRAIN = ("", "\n", "a", "a\n", "a b", "a a\n", "a a b", "a\nb\nc\n")
HELD_OUT = [("", "a"), ("a", ""), ("\n", "a"), ("a", "\n"), ("a", "a\n"), ("a b", "b a b"), ("z", "a"), ("a z", "a")]
WIDE = {"min_count": 1, "max_unknown_rate": 1.0, "max_type_ratio": 1.0, "max_leak": 1.0}


class InProcess:
    """The passes of preprocess without Beam, and a tokeniser without the graph."""

    def __init__(self, tokeniser: str) -> None:
        self.tokeniser = tokeniser
        self.words: list[str] = []

    def __call__(self, texts):
        ids = {word: number for number, word in enumerate(self.words)} | {RESERVED_WORDS[EOS]: EOS}
        for text in texts:
            found = tokenise(text.decode(), self.tokeniser)
            hashes = np.array([zlib.crc32(word.encode()) for word in found], np.uint64)
            yield Tokens(np.array([ids.get(word, UNKNOWN) for word in found], np.int64), hashes)

    def count_words(self, ranges, corpus, config, scratch):
        totals = counting.Totals()
        for work in ranges:
            for piece in reading.pieces(work, corpus):
                if piece.split == "train":
                    words = tokenise(piece.text.decode(), self.tokeniser)
                    totals.add(tf.constant(words, tf.string), tf.ones(len(words), tf.int64))
        partitions = [
            counting.most_frequent([block], config.max_words, config.min_count).kept
            for _, block in counting.blocks(totals)
        ]
        self.words = [*RESERVED_WORDS, *counting.merge(partitions, config.max_words)]
        return self.words[len(RESERVED_WORDS) :]

    def encode_all(self, ranges, config, scratch, *, transform, encoding, stamps):
        for work in ranges:
            encode(work, self.range_folder(scratch, work), self, encoding, lambda done: None)

    def range_folder(self, scratch, work):
        return scratch / "ranges" / f"{work.index:06}"


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Makes examples of three texts; returns their folder, or the error."""
    numbers = itertools.count()

    def make(texts, tokeniser, corpus, options):
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        fake = InProcess(tokeniser)
        module = types.SimpleNamespace(
            write_transform=lambda words, target, scratch, config: target.mkdir(parents=True)
        )
        monkeypatch.setitem(sys.modules, "components.preprocess.passes", fake)
        monkeypatch.setitem(sys.modules, "components.preprocess.tokenise", module)
        monkeypatch.setattr("components.preprocess.passes", fake, raising=False)
        monkeypatch.setattr("components.preprocess.tokenise", module, raising=False)
        for split, text in zip(SPLITS, texts, strict=True):
            (folder / split).write_text(text)
        section = CorpusConfig(**{split: str(folder / split) for split in SPLITS}, **corpus)
        config = PreprocessConfig(tokeniser=tokeniser, context=4, **options)
        result, scratch = folder / "examples", folder / "scratch"
        result.mkdir(), scratch.mkdir()
        found = fingerprint(section, source_files(section, scratch))
        examples.build(section, config, found, None, scratch, result)
        return result

    return make


def use(folder: Path) -> None:
    """What train and evaluate do with the examples before they have a model."""
    manifest = artifacts.verify(folder, EXAMPLES)
    size = manifest.facts["vocabulary_size"]
    split = choose_split(manifest, "auto")
    train, valid, scored = (
        load_stream(folder, manifest, name, least=1, scratch=folder) for name in ("train", "valid", split)
    )
    for baseline in score_baselines(train.ids, scored.ids, size).values():
        assert baseline.nll is None or np.isfinite(baseline.nll)
    assert read_documents(folder / TEXT_FOLDER, split)
    for config in (TrainConfig(sequences=1, targets=1), TrainConfig(sequences=1, targets=4, sampling="shuffled")):
        batches = Batches(train, config, memory=4)
        assert batches.steps_per_epoch > 0
        assert batches.windows(0, 0, 1).shape == (1, 4 + config.targets)
    json.loads((folder / "statistics.json").read_text())
    assert valid.targets


def refusal(build, texts, tokeniser="whitespace", corpus=MappingProxyType({}), options=MappingProxyType({})) -> str:
    """The message of the error that ends the steps; "" where they work."""
    try:
        use(build(texts, tokeniser, corpus, options))
    except UserError as error:
        named = any(word in error.message for word in (*SPLITS, "training text", "vocabulary"))
        return error.message if named and error.remedy else f"names no split: {error.message}"
    return ""


@pytest.mark.parametrize("options", [{}, WIDE], ids=["defaults", "wide"])
@pytest.mark.parametrize("train", TRAIN, ids=repr)
def test_next_to_nothing_is_either_enough_or_refused_by_the_name_of_its_split(train, options, build):
    found = {texts: refusal(build, (train, *texts), options=options) for texts in HELD_OUT}
    assert not [message for message in found.values() if message.startswith("names no split")]
    enough = {texts for texts, message in found.items() if not message}
    words = set(train.split())
    known = {texts for texts in HELD_OUT if all(text.split() and set(text.split()) <= words for text in texts)}
    if options:
        assert enough == (known if len(words) > 1 else set()), found
    else:  # a word twice and one that is rare and thereby unknown are the least that the defaults take
        assert not enough or train == "a a b", found


@pytest.mark.parametrize("tokeniser", ["words", "characters"])
def test_the_other_tokenisers_refuse_by_name_as_well(tokeniser, build):
    for texts in itertools.product(("a", "a b", "."), ("a", "?"), ("", "a")):
        assert not refusal(build, texts, tokeniser, options=WIDE).startswith("names no split")


@pytest.mark.parametrize("documents", ["blank-line", "json-line"])
@pytest.mark.parametrize("count", range(4))
def test_so_many_documents_are_either_enough_or_refused_by_name(documents, count, build):
    whole = "a b c\n\n" * count if documents == "blank-line" else '{"text": "a b c"}\n' * count
    empty = "\n\n" * count if documents == "blank-line" else '{"text": ""}\n' * count
    for texts in itertools.product((whole, empty), repeat=3):
        message = refusal(build, texts, corpus={"documents": documents}, options=WIDE)
        assert not message.startswith("names no split")
        assert bool(message) == (count == 0 or empty in texts), message
