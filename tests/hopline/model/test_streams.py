import numpy as np
import pytest
import tensorflow as tf

from hopline import schema
from hopline.artifacts import read_manifest
from hopline.model import streams
from hopline.model.streams import TokenStream, load_stream, read_shard
from hopline.runtime.errors import UserError
from hopline.schema import MANIFEST, PAD, Passage
from tests.support import record, synthetic_documents, write_examples


def write_shard(path, passages):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for passage in passages:
            writer.write(record(passage))


def test_a_window_holds_the_memory_before_its_targets_and_padding_beyond_the_ends():
    stream = TokenStream(np.array([PAD, 5, 6, 7, 8], np.int32), "train")
    windows = stream.windows([1, 3, -2], memory=2, targets=3)
    assert windows.tolist() == [[PAD, PAD, 5, 6, 7], [5, 6, 7, 8, PAD], [PAD, PAD, PAD, PAD, PAD]]


def test_shards_join_to_documents_with_one_padding_before_each(tmp_path):
    first = [Passage("a", 0, 0, [3, 4]), Passage("a", 9, 0, [5])]
    second = [Passage("a", 12, 2, [4, 5, 6]), Passage("b", 0, 0, [7])]  # begins inside "a", with look-behind
    shards = tmp_path / schema.SHARDS_FOLDER
    shards.mkdir()
    for index, passages in enumerate((first, second)):
        write_shard(shards / f"{schema.shard_name('train', index, 2)}.tfrecord", passages)
    manifest = _manifest(tmp_path, tokens=5)
    assert load_stream(tmp_path, manifest, "train", least=1, scratch=tmp_path).ids.tolist() == [PAD, 3, 4, 5, 6, PAD, 7]


def _manifest(folder, tokens):
    from hopline.artifacts import seal

    return seal(
        folder,
        schema.EXAMPLES,
        parents={},
        config={},
        counts={"train": {"documents": 2, "tokens": tokens, "targets": tokens}},
    )


def test_every_token_of_a_split_is_a_target_once(tmp_path):
    manifest = write_examples(
        tmp_path, {"train": synthetic_documents(1, 3, 50), "valid": synthetic_documents(2, 2, 30)}
    )
    for split in ("train", "valid"):
        stream = load_stream(tmp_path, manifest, split, least=1, scratch=tmp_path)
        assert stream.targets == manifest.counts[split]["targets"]


def test_a_large_split_is_mapped_from_a_file_of_which_nothing_is_left(tmp_path, monkeypatch):
    examples, scratch = tmp_path / "examples", tmp_path / "scratch"
    examples.mkdir()
    scratch.mkdir()
    manifest = write_examples(examples, {"train": synthetic_documents(1, 3, 50)})
    held = load_stream(examples, manifest, "train", least=1, scratch=scratch)
    monkeypatch.setattr(streams, "_HELD_TOKENS", held.targets - 1)
    mapped = load_stream(examples, manifest, "train", least=1, scratch=scratch)
    assert isinstance(mapped.ids.base, np.memmap)
    assert not isinstance(held.ids.base, np.memmap)
    assert mapped.targets == held.targets
    starts = [-3, 0, 7, len(held.ids) - 2]
    np.testing.assert_array_equal(mapped.windows(starts, 5, 4), held.windows(starts, 5, 4))
    np.testing.assert_array_equal(mapped.ids, held.ids)
    assert not list(scratch.iterdir())


def test_a_split_shorter_than_one_sequence_is_refused(tmp_path):
    manifest = write_examples(tmp_path, {"train": ["a b c\n"], "valid": ["a\n"]})
    with pytest.raises(UserError, match='"valid" has 2 tokens, but one sequence needs 3'):
        load_stream(tmp_path, manifest, "valid", least=3, scratch=tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_shard_is_refused_by_name(tmp_path, damage):
    write_examples(tmp_path, {"train": synthetic_documents(1, 3, 50)})
    manifest = read_manifest(tmp_path, schema.EXAMPLES)
    (name,) = (name for name in manifest.files if name.startswith("shards/train"))
    content = bytearray((tmp_path / name).read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=r"train-00000-of-00001\.tfrecord is damaged"):
        read_shard(tmp_path / name)


def test_a_stream_that_differs_from_its_manifest_is_refused(tmp_path):
    write_examples(tmp_path, {"train": synthetic_documents(1, 3, 50)})
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(UserError, match="manifest records 5"):
        load_stream(tmp_path, _manifest(tmp_path, tokens=5), "train", least=1, scratch=tmp_path)
