"""How far workers are with their start."""

import json

import pytest

from components.train.launch.stages import COMPILING, LOADING, MEETING, TRAINING, Reporter, Start, forget
from hopline.runtime.progress import STATUS_VARIABLE


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """What the status file says of the start: its phase, and how many workers are past it."""
    monkeypatch.setenv(STATUS_VARIABLE, str(tmp_path / "status.json"))

    def read():
        status = tmp_path / "status.json"
        if not status.exists():
            return None
        content = json.loads(status.read_text())
        return content["phase"], content["done"], content["total"]

    return read


def test_what_the_last_worker_is_at_is_shown_with_how_many_are_past_it(tmp_path, shown):
    folders = [tmp_path / "one", tmp_path / "two"]
    one, two = (Reporter(folder, aloud=False) for folder in folders)
    start = Start(folders)
    start.look()
    assert shown() is None
    one(LOADING)
    start.look()
    assert shown() is None  # of the other one nobody knows
    two(LOADING)
    start.look()
    assert shown() == (LOADING, 0, 2)
    one(MEETING)
    start.look()
    assert shown() == (LOADING, 1, 2)
    two(COMPILING)
    one(COMPILING)
    start.look()
    assert shown() == (COMPILING, 0, 2)
    (tmp_path / "status.json").unlink()
    start.look()
    one(TRAINING)
    two(TRAINING)
    start.look()
    assert shown() is None  # the chief itself shows what follows


def test_a_worker_that_is_started_again_is_at_its_beginning(tmp_path, shown):
    Reporter(tmp_path, aloud=False)(COMPILING)
    forget(tmp_path)
    Start([tmp_path]).look()
    assert shown() is None


def test_a_folder_that_takes_no_file_holds_nothing_up(tmp_path, capsys):
    (tmp_path / "file").touch()
    Reporter(tmp_path / "file", aloud=True)(COMPILING)
    assert COMPILING in capsys.readouterr().err
