"""Shards of ranges: the same tokens however the corpus is cut, and context that stays in its document."""

import dataclasses
import itertools
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.preprocess import encode as encode_module
from components.preprocess.encode import Encoding, Tokeniser, encode
from components.preprocess.overlap import compare
from components.preprocess.plan import Segment, cut
from components.preprocess.reading import Piece
from components.preprocess.statistics import Tally
from hopline.config.corpus import CorpusConfig
from hopline.corpus.files import source_files
from hopline.model.streams import read_shard
from hopline.runtime.errors import UserError
from hopline.schema import EOS, SPLITS, UNKNOWN
from tests.support import PlainTransform

WORDS = [f"w{number}" for number in range(20)]
CONTEXT = 11


def text(seed, lines):
    rng = random.Random(seed)
    return "".join(" ".join(rng.choices([*WORDS, "other", "rare"], k=rng.randrange(12))) + "\n" for _ in range(lines))


@pytest.fixture(scope="module")
def tokeniser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transform")
    tf.saved_model.save(PlainTransform(WORDS), str(folder))
    return Tokeniser(folder)


@pytest.fixture
def run(tmp_path, tokeniser):
    """Encodes the corpus in `tmp_path/corpus`; returns the folders of its ranges."""

    def run(shard_bytes, documents="file", **options):
        config = CorpusConfig(train=str(tmp_path / "corpus"), documents=documents, **options)
        files = source_files(config, tmp_path)
        if documents == "file":  # their names would decide their splits
            files = [dataclasses.replace(file, split="valid") for file in files]
        folders = []
        for work in cut(files, documents, shard_bytes):
            folders.append(tmp_path / f"ranges-{documents}-{shard_bytes}" / str(work.index))
            encoding = Encoding(config, "whitespace", CONTEXT, len(WORDS) + 3, thinning=0)
            encode(work, folders[-1], tokeniser, encoding, report=lambda done: None)
        return folders

    (tmp_path / "corpus").mkdir()
    return run


def write(tmp_path, **texts):
    for name, content in texts.items():
        (tmp_path / "corpus" / name).write_text(content)


def passages(folders, split):
    return [[*read_shard(folder / f"{split}.tfrecord")] for folder in folders if (folder / f"{split}.npz").exists()]


def streams(folders, split):
    """The tokens of each document, look-behind left out."""
    every = itertools.chain.from_iterable(passages(folders, split))
    return {
        name: [token for passage in group for token in passage.tokens[passage.look_behind :].tolist()]
        for name, group in itertools.groupby(every, lambda passage: passage.document)
    }


@pytest.mark.parametrize("shard_bytes", [40, 333, 2000, 1 << 20])
def test_the_token_stream_is_that_of_the_whole_documents_for_any_cut(tmp_path, run, tokeniser, shard_bytes):
    texts = {
        "a": text(1, 20),
        "b": "one line\n",
        "c": "",
        "d": text(2, 40) + "no end of line",
        "e": " ".join(WORDS * 9),
    }
    write(tmp_path, **texts)
    expected = {name: next(tokeniser([content.encode()])).ids.tolist() for name, content in texts.items() if content}
    assert streams(run(shard_bytes), "valid") == expected


@pytest.mark.parametrize("shard_bytes", [50, 333])
def test_a_shard_that_begins_inside_a_document_carries_the_tokens_before_it(tmp_path, run, tokeniser, shard_bytes):
    write(tmp_path, a=text(1, 20), b="short\n", c=text(2, 40))
    folders = run(shard_bytes)
    seen = dict.fromkeys("abc", 0)
    whole = streams(folders, "valid")
    inside = 0
    for shard in passages(folders, "valid"):
        for index, passage in enumerate(shard):
            before = seen[passage.document]
            assert passage.look_behind == (min(CONTEXT, before) if index == 0 else 0)
            assert (
                passage.tokens.tolist()
                == whole[passage.document][before - passage.look_behind :][: len(passage.tokens)]
            )
            seen[passage.document] += len(passage.tokens) - passage.look_behind
            inside += passage.look_behind > 0
    assert inside >= 3


@pytest.mark.parametrize("documents", ["blank-line", "json-line"])
def test_documents_inside_a_file_do_not_depend_on_the_cuts(tmp_path, run, documents):
    if documents == "blank-line":
        content = "\n\n".join(text(seed, 3).replace("\n\n", "\n") for seed in range(40))
    else:
        content = "".join(json.dumps({"text": text(seed, 3)}) + "\n" for seed in range(40))
    write(tmp_path, a=content)
    options = {"documents": documents, "valid_fraction": 0.3, "test_fraction": 0.3}
    whole, parts = run(1 << 20, **options), run(200, **options)
    assert len(parts) > 10
    for split in SPLITS:
        assert streams(parts, split) == streams(whole, split) != {}
        assert all(passage.look_behind == 0 for shard in passages(parts, split) for passage in shard)


def test_raw_text_lies_beside_the_passages_of_evaluation_splits_one_to_one(tmp_path, run, tokeniser):
    write(tmp_path, a="naïve w1\u2028\u3000w2\n" * 3000, b=text(2, 40))
    for folder in run(20_000):
        lines = [json.loads(line) for line in (folder / "valid.jsonl").open(encoding="utf-8", newline="\n")]
        shard = read_shard(folder / "valid.tfrecord")
        assert [(line["document"], line["offset"]) for line in lines] == [(p.document, p.offset) for p in shard]
        for line, passage in zip(lines, shard, strict=True):
            (encoded,) = tokeniser([line["text"].encode()])
            assert passage.tokens[passage.look_behind :].tolist() == encoded.ids.tolist()


def test_encoding_a_range_again_gives_the_same_bytes(tmp_path, run):
    write(tmp_path, a=text(1, 20), b=text(2, 40))
    first = {path: path.read_bytes() for folder in run(500) for path in folder.iterdir()}
    again = {path: path.read_bytes() for folder in run(500) for path in folder.iterdir()}
    assert first == again


def test_tallies_of_the_parts_add_up_to_that_of_the_whole(tmp_path, run):
    write(tmp_path, a=text(1, 20), b="w1 w2\n", c="", d=text(2, 40))

    def total(folders):
        tally = Tally(np.zeros(len(WORDS) + 3, np.int64))
        for folder in folders:
            if (folder / "valid.npz").exists():
                tally.add(Tally.load(folder / "valid.npz"))
        return tally.summary()

    summary = total(run(1 << 20))
    assert total(run(500)) == summary
    assert summary["documents"] == 3
    assert summary["characters"] == sum(len((tmp_path / "corpus" / name).read_text()) for name in "abd")
    tokens = list(itertools.chain.from_iterable(streams(run(1 << 20), "valid").values()))
    assert summary["tokens"] == len(tokens)
    assert summary["unknown_tokens"] == tokens.count(UNKNOWN)
    assert summary["unknown_types"] == 2
    assert summary["types"] == len(set(tokens) - {UNKNOWN, EOS}) + 2
    assert summary["words"] == len(tokens) - tokens.count(EOS)
    assert summary["word_counts"] == np.bincount(tokens, minlength=len(WORDS) + 3).tolist()


@pytest.mark.parametrize("shard_bytes", [50, 333, 2000])
def test_what_two_splits_share_does_not_depend_on_the_cuts(tmp_path, run, shard_bytes):
    write(tmp_path, a=text(1, 60), b=text(2, 30), c="w1 w2\n")
    whole, parts = run(1 << 20), run(shard_bytes)

    def arrays(folders):
        loaded = [np.load(folder / "valid.hashes.npz") for folder in folders]
        return [np.concatenate([part[f"grams_{length}"] for part in loaded]).tolist() for length in (5, 13)]

    assert arrays(parts) == arrays(whole)
    assert len(arrays(whole)[0]) > 300
    assert compare(hashes(parts), hashes(parts), (5, 13)).documents == 3


def hashes(folders):
    return [folder / "valid.hashes.npz" for folder in folders]


def test_a_file_that_changes_while_it_is_read_leaves_no_folder(tmp_path, run, tokeniser, monkeypatch):
    content = text(1, 20)
    write(tmp_path, a=content)
    path, read = tmp_path / "corpus" / "a", encode_module.pieces

    def disturbed(work, config, bad):
        times = path.stat()
        path.write_text(content[: len(content) // 2])
        found = [
            *read(dataclasses.replace(work, segments=(dataclasses.replace(work.segments[0], end=-1),)), config, bad)
        ]
        path.write_text(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        return iter(found)

    monkeypatch.setattr(encode_module, "pieces", disturbed)
    with pytest.raises(UserError, match="a has changed while it was read"):
        run(1 << 20)
    assert list((tmp_path / "ranges-file-1048576").iterdir()) == []


def test_a_file_that_is_shorter_than_it_was_is_refused(tmp_path, run):
    write(tmp_path, a=text(1, 20))
    config = CorpusConfig(train=str(tmp_path / "corpus"))
    (work,) = cut(source_files(config, tmp_path), "file", 1 << 20)
    write(tmp_path, a="w1 w2\n")
    with pytest.raises(UserError, match="ends at byte 6"):
        list(encode_module.pieces(work, config))


def test_damaged_text_leaves_no_folder(tmp_path, run):
    (tmp_path / "corpus" / "a").write_bytes(b"good\n" * 10_000 + b"\xff")
    with pytest.raises(UserError, match="not UTF-8"):
        run(1 << 20)
    assert list((tmp_path / "ranges-file-1048576").iterdir()) == []


@settings(deadline=None)
@given(
    ids=st.lists(st.sampled_from([0, 1, 2, 127, 128, 10_002, 16_383, 16_384, 2_097_152, 2**40]), min_size=1),
    before=st.lists(st.integers(0, 300)),
    offset=st.integers(0, 2**50),
    name=st.text(max_size=200),
)
def test_a_passage_has_the_bytes_that_protobuf_gives_it(ids, before, offset, name):
    segment = Segment("file", Path("file"), "train", 0, 1, whole=True)
    piece = Piece(segment, "train", name, offset, b"text")
    features = {
        "document": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
        "offset": tf.train.Feature(int64_list=tf.train.Int64List(value=[offset])),
        "look_behind": tf.train.Feature(int64_list=tf.train.Int64List(value=[len(before)])),
        "tokens": tf.train.Feature(int64_list=tf.train.Int64List(value=[*before, *ids])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    found = encode_module._example(piece, np.array(ids, np.int64), np.array(before, np.int64))
    assert found == example.SerializeToString(deterministic=True)
