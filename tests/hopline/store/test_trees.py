"""Whole trees between folders and real object stores: there whole or not at all, and never copied twice."""

import json
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from hopline import artifacts
from hopline.runtime import places
from hopline.runtime.errors import InternalError, UserError
from hopline.store import trees
from hopline.store.bucket import CHUNK_BYTES
from hopline.store.objects import Store

fork = multiprocessing.get_context("fork")
FILES = 6


@pytest.fixture
def tree(tmp_path):
    """A sealed folder with a file of two chunks, an empty one and several small ones, in sub-folders."""
    return make_tree(tmp_path / "tree", "content")


def make_tree(folder: Path, text: str) -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "large").write_bytes(text.encode() * (CHUNK_BYTES // len(text) + 1))
    (folder / "inner" / "empty").touch()
    for number in range(FILES - 2):
        (folder / "inner" / f"small-{number}").write_text(f"{text} {number}")
    artifacts.seal(folder, "tree", parents={}, config={})
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def at_call(monkeypatch, name: str, number: int, act) -> list[str]:
    """Makes the `number`-th call of the Store method `name` do `act` first; returns the growing list of all calls."""
    real, calls, lock = getattr(Store, name), [], threading.Lock()

    def method(self, *args, **kwargs):
        with lock:
            calls.append(str(args))
            if len(calls) == number:
                act()
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Store, name, method)
    return calls


def run_killed(monkeypatch, name: str, call) -> None:
    """Runs `call` in a process that is gone at the fourth call of the Store method `name`."""

    def child() -> None:
        at_call(monkeypatch, name, 4, lambda: os._exit(9))
        call()

    process = fork.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 9


@pytest.mark.parametrize("place", ["gs://bucket", "s3://bucket/prefix", "minio://bucket/key"])
def test_uris_of_object_stores_are_remote(place):
    assert places.is_remote(place)


@pytest.mark.parametrize("place", ["folder", "/gs://folder", Path("gs://bucket"), "http://host/path", ""])
def test_everything_else_is_local(place):
    assert not places.is_remote(place)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("gs://bucket/prefix/", "gs://bucket/prefix"),
        ("s3://bucket", "s3://bucket"),
        ("folder/../other", Path("folder/../other")),
        ("/data/a:b", Path("/data/a:b")),
        ("a:b/c", Path("a:b/c")),
    ],
)
def test_a_place_is_a_path_or_the_uri_of_an_object_store(text, place):
    assert places.parse_place(text) == place


@pytest.mark.parametrize("text", ["", "gs:/bucket", "http://host/path", "file:///data", "azure://bucket"])
def test_what_is_neither_is_refused(text):
    with pytest.raises(UserError, match="neither a path nor the URI"):
        places.parse_place(text)


def test_a_tree_goes_there_and_back(remote_place, tree, tmp_path):
    trees.send_tree(tree, remote_place, "test")
    trees.check_tree(remote_place)
    trees.fetch_tree(remote_place, tmp_path / "new" / "again", "test")
    assert content(tmp_path / "new" / "again") == content(tree)
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "again"]
    artifacts.verify(tmp_path / "new" / "again", "tree")


def test_what_is_there_already_is_not_copied_again(remote_place, tree, tmp_path, monkeypatch):
    trees.send_tree(tree, remote_place, "test")
    trees.fetch_tree(remote_place, tmp_path / "again", "test")
    sent = at_call(monkeypatch, "upload_file", 0, None)
    fetched = at_call(monkeypatch, "download_file", 0, None)
    trees.send_tree(tree, remote_place, "test")
    trees.fetch_tree(remote_place, tmp_path / "again", "test")
    assert (sent, fetched) == ([], [])


def test_fetching_replaces_what_was_in_the_folder(remote_place, tree, tmp_path):
    make_tree(tmp_path / "again", "older")
    (tmp_path / "again" / "more").touch()
    trees.send_tree(tree, remote_place, "test")
    trees.fetch_tree(remote_place, tmp_path / "again", "test")
    assert content(tmp_path / "again") == content(tree)


def test_a_tree_may_be_replaced(remote_place, tree, tmp_path):
    trees.send_tree(tree, remote_place, "test")
    newer = make_tree(tmp_path / "newer", "newer")
    trees.send_tree(newer, remote_place, "test")
    trees.fetch_tree(remote_place, tmp_path / "again", "test")
    assert content(tmp_path / "again") == content(newer)


@pytest.mark.parametrize("older", [False, True], ids=["nothing", "another tree"])
def test_a_tree_that_was_not_sent_whole_is_not_there(remote_place, tree, tmp_path, older):
    if older:
        trees.send_tree(make_tree(tmp_path / "older", "older"), remote_place, "test")
    (tree / "inner" / "small-1").write_text("torn")
    with pytest.raises(UserError, match="small-1 differs from its recorded SHA-256"):
        trees.send_tree(tree, remote_place, "test")
    with pytest.raises(UserError, match=r"manifest\.json is missing"):
        trees.fetch_tree(remote_place, tmp_path / "again", "test")
    assert not (tmp_path / "again").exists()


def test_a_missing_file_is_named(remote_place, tree):
    (tree / "large").unlink()
    with pytest.raises(UserError, match="large is missing"):
        trees.send_tree(tree, remote_place, "test")


@pytest.mark.parametrize("harm", [lambda store: store.write("large", b"torn"), lambda store: store.delete("large")])
def test_a_damaged_tree_is_refused_and_leaves_the_folder_as_it_was(remote_place, tree, tmp_path, harm):
    trees.send_tree(tree, remote_place, "test")
    harm(Store(remote_place))
    older = content(make_tree(tmp_path / "again", "older"))
    with pytest.raises((InternalError, UserError), match="large"):
        trees.fetch_tree(remote_place, tmp_path / "again", "test")
    assert content(tmp_path / "again") == older
    with pytest.raises(UserError, match="large"):
        trees.check_tree(remote_place)


@pytest.mark.parametrize("name", ["../outside", "/outside", "inner/../../outside"])
def test_a_manifest_that_names_files_outside_is_refused(remote_place, tmp_path, name):
    Store(remote_place).write("manifest.json", json.dumps({"files": {name: "0" * 64}}).encode())
    with pytest.raises(UserError, match="which is outside of it"):
        trees.fetch_tree(remote_place, tmp_path / "again", "test")


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"files": 1}', b"\xff"])
def test_a_damaged_manifest_is_refused(remote_place, tmp_path, text):
    Store(remote_place).write("manifest.json", text)
    with pytest.raises(UserError, match="is damaged"):
        trees.fetch_tree(remote_place, tmp_path / "again", "test")


@pytest.mark.multiprocess
def test_a_killed_sender_leaves_no_tree_and_the_next_goes_on(remote_place, tree, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(trees, "THREADS", 1)
        run_killed(patched, "upload_file", lambda: trees.send_tree(tree, remote_place, "test"))
    with pytest.raises(UserError, match=r"manifest\.json is missing"):
        trees.fetch_tree(remote_place, tmp_path / "again", "test")
    sent = at_call(monkeypatch, "upload_file", 0, None)
    trees.send_tree(tree, remote_place, "test")
    assert len(sent) == FILES - 3
    trees.fetch_tree(remote_place, tmp_path / "again", "test")
    assert content(tmp_path / "again") == content(tree)


@pytest.mark.multiprocess
def test_a_killed_fetch_leaves_no_folder_and_the_next_goes_on(remote_place, tree, tmp_path, monkeypatch):
    trees.send_tree(tree, remote_place, "test")
    target = tmp_path / "new" / "again"
    with monkeypatch.context() as patched:
        patched.setattr(trees, "THREADS", 1)
        run_killed(patched, "download_file", lambda: trees.fetch_tree(remote_place, target, "test"))
    assert not target.exists()
    fetched = at_call(monkeypatch, "download_file", 0, None)
    trees.fetch_tree(remote_place, target, "test")
    assert len(fetched) == FILES - 3
    assert content(target) == content(tree)
    assert list(target.parent.iterdir()) == [target]


def test_what_was_fetched_of_another_tree_is_not_used(remote_place, tree, tmp_path):
    left = tmp_path / ".again.0123456789ab.fetching"
    make_tree(left, "older")
    trees.send_tree(tree, remote_place, "test")
    trees.fetch_tree(remote_place, tmp_path / "again", "test")
    assert content(tmp_path / "again") == content(tree)
    assert not left.exists()


@pytest.mark.parametrize("mortal", ["gs"], indirect=True)  # the other server forgets what it held
def test_trees_outlive_the_server(mortal, tree, tmp_path, monkeypatch):
    def restart() -> None:
        mortal.kill()
        threading.Timer(1.0, mortal.start).start()

    at_call(monkeypatch, "upload_file", 3, restart)
    at_call(monkeypatch, "download_file", 3, restart)
    trees.send_tree(tree, "gs://bucket/prefix", "test")
    trees.fetch_tree("gs://bucket/prefix", tmp_path / "again", "test")
    assert content(tmp_path / "again") == content(tree)
