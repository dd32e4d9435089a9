"""Progress lines and the status file."""

import json

import pytest

from hopline.runtime.progress import STATUS_VARIABLE, Progress, format_seconds


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until `clock.now` is moved."""

    class Clock:
        now = 100.0

    monkeypatch.setattr("hopline.runtime.progress.time.monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def status(tmp_path, monkeypatch):
    monkeypatch.setenv(STATUS_VARIABLE, str(tmp_path / "status.json"))
    return tmp_path / "status.json"


def test_the_status_file_says_how_far_the_step_is(status, clock):
    progress = Progress("train", total=600, unit="tokens", phase="epoch 1")
    clock.now += 2
    progress.update(200, loss=4.5)
    assert json.loads(status.read_text()) == {
        "step": "train", "phase": "epoch 1", "done": 200, "total": 600, "unit": "tokens", "rate": 100.0,
        "seconds_left": 4.0, "values": {"loss": 4.5},
    }  # fmt: skip
    assert [path.name for path in status.parent.iterdir()] == [status.name]


def test_work_of_an_earlier_process_counts_as_done_but_not_as_fast(status, clock):
    progress = Progress("train", total=600, unit="tokens", done=400)
    clock.now += 1
    progress.update(500)
    assert (progress.rate, progress.seconds_left) == (100.0, 1.0)


def test_frequent_updates_are_written_seldom_but_the_last_one_always(status, clock, capsys):
    progress = Progress("train", total=10, unit="steps")
    for done in range(1, 10):
        progress.update(done)
    assert json.loads(status.read_text())["done"] == 1
    progress.update(10)
    assert json.loads(status.read_text())["done"] == 10
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_without_a_watcher_only_lines_are_printed(monkeypatch, clock, capsys):
    monkeypatch.delenv(STATUS_VARIABLE, raising=False)
    progress = Progress("train", total=6000, unit="tokens", phase="validating")
    clock.now += 2
    progress.update(2000, loss=4.25)
    expected = "train: validating  2,000/6,000 tokens  loss 4.25  1,000 tokens/s  4 s left\n"
    assert capsys.readouterr().err == expected


def test_a_total_that_is_not_known_has_no_end(clock, capsys):
    progress = Progress("preprocess", total=0, unit="files")
    clock.now += 2
    progress.update(4)
    assert progress.seconds_left is None
    assert capsys.readouterr().err == "preprocess:  4 files  2 files/s\n"


def test_a_status_that_cannot_be_written_does_not_stop_the_step(tmp_path, monkeypatch, clock):
    monkeypatch.setenv(STATUS_VARIABLE, str(tmp_path / "nowhere" / "status.json"))
    Progress("train", total=2, unit="steps").update(1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (8.4, "8 s"), (59.6, "1:00"), (185, "3:05"), (7207, "2:00:07")]
)
def test_durations_are_written_as_people_write_them(seconds, text):
    assert format_seconds(seconds) == text
