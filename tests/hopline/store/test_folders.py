"""Files and folders: whole or not at all, locked, and left clean."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hopline.runtime.errors import UserError
from hopline.store import folders
from hopline.store.folders import locked, place, whole


def make(folder: Path, text: str = "content") -> None:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text(text)


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


HOLDER = """
import sys, time
from pathlib import Path
from hopline.store.folders import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock file `tmp_path/lock`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_folder_is_there_whole(tmp_path):
    with whole(tmp_path / "new" / "a") as temporary:
        (temporary / "file").write_text("1")
        assert not (tmp_path / "new" / "a").exists()
    assert (tmp_path / "new" / "a" / "file").read_text() == "1"


def test_a_folder_that_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    with pytest.raises(IsADirectoryError), whole(tmp_path / "a") as temporary:
        temporary.write_text("a folder takes no text")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "old"]


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    folders.write_text(tmp_path / "a", "old")
    with pytest.raises(UnicodeEncodeError):
        folders.write_text(tmp_path / "a", "new \ud800")
    assert (tmp_path / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_copy_is_the_same_and_replaces_what_was_there(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "b", text="older")
    place(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_a_copy_works_where_links_do_not(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("another file system")

    monkeypatch.setattr(os, "link", refuse)
    make(tmp_path / "a")
    place(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path / "b") == content(tmp_path / "a")


def test_a_lock_that_another_process_holds_is_refused_and_names_it(tmp_path, holder):
    with pytest.raises(BlockingIOError), locked(tmp_path / "lock", wait=False):
        pass
    assert (tmp_path / "lock").read_text() == f"{holder.pid}\n"


def test_a_lock_falls_with_its_holder(tmp_path, holder):
    holder.kill()
    holder.wait()
    with locked(tmp_path / "lock", wait=False):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_can_be_waited_for(tmp_path, holder):
    started = time.monotonic()
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
    with locked(tmp_path / "lock"):
        assert time.monotonic() - started >= 0.4
    killer.wait()


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"--output .*file/out cannot be written"):
        folders.writable_folder(tmp_path / "file" / "out", "--output")


def test_a_folder_that_another_process_tidies_meanwhile_can_be_written(tmp_path, monkeypatch):
    touch = Path.touch

    def touch_and_tidy(path: Path) -> None:
        touch(path)
        folders.remove_partial(path.parent)

    monkeypatch.setattr(Path, "touch", touch_and_tidy)
    assert folders.writable_folder(tmp_path / "out", "--output") == tmp_path / "out"


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / ".a.1234.partial" / "inner").mkdir(parents=True)
    (tmp_path / ".b.1234.partial").touch()
    (tmp_path / "kept").touch()
    folders.remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
