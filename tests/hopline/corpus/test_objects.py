"""Corpora in object stores: the same patterns as in a folder, known without a download, and brought here whole."""

import pytest

from hopline.config.corpus import CorpusConfig
from hopline.corpus.files import fetch, fingerprint, source_files
from hopline.runtime.errors import InternalError, UserError
from hopline.runtime.places import is_remote
from hopline.store import gcs
from hopline.store.bucket import CHUNK_BYTES
from hopline.store.objects import Store

TEXTS = {
    "texts/b.txt": b"b", "texts/a.txt": b"a", "texts/deep/a.txt": b"deep a", "texts/deep/er/c.txt": b"c",
    "texts/.hidden": b"h", "texts/.git/d.txt": b"d", "texts2/a.txt": b"another", "texts/notes[1].txt": b"1",
    "texts/notes1.txt": b"one", "odd[1]/a.txt": b"odd", "odd1/b.txt": b"even",
}  # fmt: skip


@pytest.fixture
def texts(remote_place):
    """The URI of a prefix that holds TEXTS."""
    for name, content in TEXTS.items():
        Store(remote_place).write(name, content)
    return remote_place


def files(tmp_path, **patterns):
    return source_files(CorpusConfig(**patterns), tmp_path / "scratch")


def print_of(tmp_path, pattern, **options):
    config = CorpusConfig(train=pattern, **options)
    return fingerprint(config, source_files(config, tmp_path / "scratch"))


PATTERNS = [
    *["texts", "texts/", "texts/a.txt", "texts/notes[1].txt", "texts/notes[1]*", "texts/?.txt", "texts/*.txt"],
    *["texts*/a.txt", "texts/**", "texts/**/a.txt", "texts/*/a.txt", "texts/**/*", "texts/.*", "texts/.git/*", "*/a.*"],
    *["texts/[ab].txt", "texts/[!a].txt", "te?ts/deep/**/c.txt", "**/er/*", "odd[1]", "odd[1]/*"],
]


def test_a_pattern_names_in_a_bucket_what_it_names_in_a_folder(texts, tmp_path):
    for name, content in TEXTS.items():
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for pattern in PATTERNS:
        there, here = (files(tmp_path, train=f"{root}/{pattern}") for root in (texts, tmp_path / "here"))
        named = [(file.name, file.size) for file in there]
        assert (pattern, named) == (pattern, [(file.name, file.size) for file in here])
        assert named


def test_a_whole_bucket_is_a_folder_and_objects_that_stand_for_folders_are_none(bucket, tmp_path):
    place = bucket("s3")
    for name in ("a.txt", "empty/", "deep/b.txt"):
        Store(place).write(name, name.encode())
    for pattern in (place, f"{place}/", f"{place}/**"):
        assert [file.name for file in files(tmp_path, train=pattern)] == ["a.txt", "deep/b.txt"]
    assert [file.name for file in files(tmp_path, train=f"{place}/*/*")] == ["deep/b.txt"]


def test_files_are_brought_to_their_paths_and_are_what_they_were(texts, tmp_path):
    Store(texts).write("large/text", content := b"line\n" * (CHUNK_BYTES // 4))
    found = files(tmp_path, train=f"{texts}/texts", valid=f"{texts}/large/text")
    fetch(found, "test")
    assert {file.name: file.path.read_bytes() for file in found} == {
        "a.txt": b"a", "b.txt": b"b", "deep/a.txt": b"deep a", "deep/er/c.txt": b"c", "notes1.txt": b"one",
        "notes[1].txt": b"1", "text": content,
    }  # fmt: skip
    assert {file.split for file in found if file.name == "text"} == {"valid"}


def test_what_was_brought_is_not_brought_again(texts, tmp_path, monkeypatch):
    found = files(tmp_path, train=f"{texts}/texts")
    fetch(found[1:], "test")
    fetched = []
    real = Store.download_file
    monkeypatch.setattr(
        Store, "download_file", lambda self, name, *args, **kw: fetched.append(name) or real(self, name, *args, **kw)
    )
    fetch(found, "test")
    assert [name.rpartition("/")[2] for name in fetched] == [found[0].name]


def test_an_object_that_was_replaced_since_it_was_listed_is_not_brought(texts, tmp_path):
    found = files(tmp_path, train=f"{texts}/texts")
    Store(texts).write("texts/a.txt", b"A")
    with pytest.raises(InternalError, match=r"texts/a\.txt was replaced"):
        fetch(found, "test")


def test_bytes_damaged_on_their_way_are_noticed(bucket, tmp_path, monkeypatch):
    place = bucket("gs")
    Store(place).write("a.txt", b"content")  # not by upload_file: only the store's own checksum tells
    found = files(tmp_path, train=place)
    monkeypatch.setattr(gcs.GoogleBucket, "read_range", lambda self, *args, **options: b"CONTENT")
    with pytest.raises(InternalError, match="differs from its recorded MD5"):
        fetch(found, "test")
    assert not found[0].path.exists()


def test_the_fingerprint_needs_no_download_and_changes_with_content_name_and_reading(texts, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        for name in ("read", "download_file"):
            patched.setattr(Store, name, None)
        seen = [print_of(tmp_path, f"{texts}/texts")]
        assert print_of(tmp_path, f"{texts}/texts/") == seen[0]
        seen.append(print_of(tmp_path, f"{texts}/texts", documents="blank-line"))
    store = Store(texts)
    store.write("texts/a.txt", b"A")
    seen.append(print_of(tmp_path, f"{texts}/texts"))
    store.delete("texts/a.txt")
    store.write("texts/z.txt", b"A")
    seen.append(print_of(tmp_path, f"{texts}/texts"))
    assert len(set(seen)) == 4


def test_the_same_content_written_again_has_the_same_fingerprint(texts, tmp_path):
    before = print_of(tmp_path, f"{texts}/texts")
    Store(texts).write("texts/a.txt", TEXTS["texts/a.txt"])
    assert print_of(tmp_path, f"{texts}/texts") == before


def test_a_pattern_that_names_nothing_is_refused(texts, tmp_path):
    for pattern in ("nothing", "*.gone", "text"):  # the last is the beginning of a name, and no folder
        with pytest.raises(UserError, match="names no object"):
            files(tmp_path, train=f"{texts}/{pattern}")


def test_a_bucket_that_does_not_exist_is_refused(texts, tmp_path):
    with pytest.raises(UserError, match="no-such-bucket does not exist"):
        files(tmp_path, train=f"{texts[:5]}no-such-bucket/texts")


def test_an_object_in_two_splits_is_refused(texts, tmp_path):
    with pytest.raises(UserError, match=r"both corpus\.train and corpus\.valid"):
        files(tmp_path, train=f"{texts}/texts", valid=f"{texts}/texts/a.txt")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a//b"], "cannot be a file"),
        (["x" * 201], "cannot be a file"),
        (["a", "a/b"], "also the folder of"),
    ],
)
def test_objects_that_cannot_be_files_are_refused(bucket, tmp_path, names, message):
    place = bucket("s3")
    import boto3

    for name in names:  # as any client may
        boto3.client("s3").put_object(Bucket=place.removeprefix("s3://"), Key=f"texts/{name}", Body=b"text")
    with pytest.raises(UserError, match=message):
        files(tmp_path, train=f"{place}/texts")


def test_an_empty_corpus_is_refused(bucket, tmp_path):
    place = bucket("gs")
    Store(place).write("a", b"")
    with pytest.raises(UserError, match="the corpus is empty"):
        files(tmp_path, train=place)


def test_copies_of_all_buckets_have_a_place_of_their_own(bucket, tmp_path):
    buckets = [bucket("gs"), bucket("s3")]
    for place in buckets:
        Store(place).write("a", place.encode())
    found = files(tmp_path, train=buckets[0], valid=buckets[1])
    fetch(found, "test")
    assert [file.path.read_text() for file in found] == buckets
    assert is_remote(buckets[0])
