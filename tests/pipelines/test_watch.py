"""The state of the steps, from a folder as kfp leaves it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.watch import State, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "kfp", tmp_path / "status.json")


def begin(watch: Watch, step: str) -> Path:
    folder = watch.root / "hopline-2026" / step
    folder.mkdir(parents=True)
    return folder


def finish(folder: Path, artifact: str, created: datetime) -> None:
    (folder / artifact).mkdir()
    manifest = {"created": created.isoformat(timespec="microseconds")}
    (folder / artifact / "manifest.json").write_text(json.dumps(manifest))
    (folder / "executor_output.json").write_text("{}")


def states(watch: Watch) -> list[State]:
    return [view.state for view in watch.look()]


def test_before_anything_has_begun_all_steps_wait(watch):
    assert states(watch) == [State.WAITING] * 5


def test_a_step_runs_from_its_folder_to_its_output(watch):
    folder = begin(watch, "resolve")
    assert states(watch)[0] is State.RUNNING
    finish(folder, "resolution", datetime.now(UTC))
    assert states(watch)[0] is State.DONE


def test_an_artifact_older_than_the_attempt_was_found_in_the_cache(watch):
    finish(begin(watch, "train"), "model", datetime.now(UTC) - timedelta(seconds=30))
    assert states(watch)[2] is State.FOUND


def test_a_quick_attempt_in_the_second_of_the_one_before_still_sees_what_it_found(tmp_path):
    earlier = datetime.now(UTC)
    watch = Watch(tmp_path / "kfp", tmp_path / "status.json")
    finish(begin(watch, "train"), "model", earlier)
    finish(begin(watch, "evaluate"), "evaluation", datetime.now(UTC))
    assert states(watch)[2:4] == [State.FOUND, State.DONE]


def test_the_status_belongs_to_the_step_that_it_names(watch):
    finish(begin(watch, "resolve"), "resolution", datetime.now(UTC))
    begin(watch, "preprocess")
    watch.status.write_text(json.dumps({"step": "resolve", "done": 1}))
    assert watch.look()[1].progress == {}
    watch.status.write_text(json.dumps({"step": "preprocess", "done": 1}))
    assert watch.look()[1].progress["done"] == 1
    assert watch.look()[0].progress == {}


@pytest.mark.parametrize("content", ["", "{", "[]", "3"])
def test_a_status_that_cannot_be_read_shows_nothing(watch, content):
    begin(watch, "resolve")
    watch.status.write_text(content)
    assert watch.look()[0].progress == {}


def test_the_last_look_says_what_became_of_the_rest(watch):
    finish(begin(watch, "resolve"), "resolution", datetime.now(UTC))
    begin(watch, "preprocess")
    last = watch.last_look(running=State.FAILED, waiting=State.NOT_REACHED)
    assert [view.state for view in last] == [State.DONE, State.FAILED, *[State.NOT_REACHED] * 3]


def test_an_artifact_is_found_only_once_it_is_there(watch):
    folder = begin(watch, "train")
    assert watch.artifact("train") is None
    finish(folder, "model", datetime.now(UTC))
    assert watch.artifact("train") == folder / "model"
