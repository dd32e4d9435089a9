import math

import tensorflow as tf

from components.train.report.events import EVENTS_FOLDER
from components.train.report.log import TrainingLog, read_log


def read_events(folder):
    """Every event of a folder that must hold one file."""
    (path,) = (folder / EVENTS_FOLDER).iterdir()
    assert "tfevents" in path.name, "TensorBoard reads no file of another name"
    return list(tf.compat.v1.train.summary_iterator(str(path)))


def points(folder):
    """The scalars as (step, tag): value; none may be there twice."""
    found = [
        (event.step, value.tag, value.simple_value) for event in read_events(folder) for value in event.summary.value
    ]
    assert len({point[:2] for point in found}) == len(found)
    return {(step, tag): value for step, tag, value in found}


def write(log, step):
    log.write(step=step, epoch=1.0, loss=math.log(8.0), gradient_norm=0.5, learning_rate=0.25, targets_per_second=100.0)


def test_every_number_of_the_log_becomes_a_point_at_its_step(tmp_path):
    log = TrainingLog(tmp_path / "log.jsonl", step=0)
    write(log, step=7)
    log.write(step=8, epoch=1.0, valid_loss=math.log(4.0), learning_rate=0.125)
    log.close()
    rounded = {key: round(value, 5) for key, value in points(tmp_path).items()}
    assert rounded == {
        (7, "train/loss"): 2.07944,
        (7, "train/perplexity"): 8.0,
        (7, "gradient_norm"): 0.5,
        (7, "learning_rate"): 0.25,
        (7, "targets_per_second"): 100.0,
        (8, "valid/loss"): 1.38629,
        (8, "valid/perplexity"): 4.0,
        (8, "learning_rate"): 0.125,
    }


def test_events_have_the_wall_times_of_the_log_also_after_a_restart(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    for clock, step in ((1000.5, 1), (2000.25, 2)):
        monkeypatch.setattr("time.time", lambda clock=clock: clock)
        log = TrainingLog(path, step=step - 1)
        write(log, step)
        log.close()
    assert [record["time"] for record in read_log(path)] == [1000.5, 2000.25]
    assert [event.wall_time for event in read_events(tmp_path) if event.step] == [1000.5, 2000.25]


def test_points_after_the_restored_step_are_dropped_and_none_is_doubled(tmp_path):
    path = tmp_path / "log.jsonl"
    first = TrainingLog(path, step=0)
    for step in (1, 2, 3):
        write(first, step)
    first.flush()  # and the process is killed
    again = TrainingLog(path, step=2)
    write(again, 3)
    write(again, 4)
    again.close()
    assert {step for step, _ in points(tmp_path)} == {1, 2, 3, 4}


def test_the_file_begins_by_telling_a_running_tensorboard_to_forget_its_points(tmp_path):
    log = TrainingLog(tmp_path / "log.jsonl", step=0)
    write(log, 1)
    log.close()
    version, start, *_ = read_events(tmp_path)
    assert version.file_version == "brain.Event:2"
    assert (start.session_log.status, start.step) == (tf.compat.v1.SessionLog.START, 0)


def test_what_was_flushed_can_be_read_while_training_goes_on(tmp_path):
    log = TrainingLog(tmp_path / "log.jsonl", step=0)
    write(log, 1)
    log.flush()
    assert (1, "train/loss") in points(tmp_path)
    log.close()
