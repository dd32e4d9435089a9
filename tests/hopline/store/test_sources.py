"""Files and objects that are opened for reading, compressed or not."""

import bz2
import gzip
import lzma

import pyarrow
import pytest

from hopline.runtime.errors import UserError
from hopline.store.objects import Store
from hopline.store.sources import DAMAGED, is_compressed, locate, open_source


def zstd(text):
    return pyarrow.compress(text, "zstd", asbytes=True)


TEXT = b"one two\n" * 50_000
packers = pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("BZ2", bz2.compress), ("xz", lzma.compress), ("zst", zstd)]
)


@packers
def test_decompresses_all_that_was_compressed_in_one_piece_or_several(tmp_path, suffix, pack):
    path = tmp_path / f"a.{suffix}"
    half = len(TEXT) // 2
    path.write_bytes(pack(TEXT[:half]) + pack(TEXT[half:]))  # as parallel compressors write
    with open_source(path) as stream:
        assert stream.read() == TEXT


@packers
def test_a_truncated_file_is_an_error(tmp_path, suffix, pack):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(pack(TEXT)[:-5])
    with open_source(path) as stream, pytest.raises(DAMAGED):
        stream.read()


def test_a_missing_file_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        open_source(tmp_path / "gone.zst")


@packers
def test_an_object_is_decompressed_as_a_file_is(remote_place, suffix, pack):
    half = len(TEXT) // 2
    Store(remote_place).write(f"a.{suffix}", pack(TEXT[:half]) + pack(TEXT[half:]))
    with locate("a.key", f"{remote_place}/a.{suffix}").open() as stream:
        assert stream.read() == TEXT
    Store(remote_place).write(f"b.{suffix}", pack(TEXT)[:-5])
    with (
        pytest.raises(UserError, match="cannot be read"),
        locate("a.key", f"{remote_place}/b.{suffix}").open() as stream,
    ):
        stream.read()


def test_what_is_decompressed_is_known_by_the_name():
    assert [is_compressed(name) for name in ("a.GZ", "gs://bucket/a.zst", "a.vec", "a.gz/b")] == [
        True,
        True,
        False,
        False,
    ]
