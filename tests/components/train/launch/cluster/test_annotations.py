"""Progress as annotations of the Job."""

import json

import pytest

from components.train.launch.cluster.annotations import described
from tests.components.train.launch.cluster.cluster import Life

RECORD = {
    "kind": "progress", "step": "train", "phase": "", "done": 30, "total": 120, "unit": "targets", "rate": 1.0,
    "seconds_left": 90.4, "values": {"loss": 5.25},
}  # fmt: skip
NOTED = {"hopline/percent": "25.0", "hopline/seconds-left": "90", "hopline/values": '{"loss": 5.25}'}


def test_the_job_says_how_far_its_training_is_and_the_log_shows_no_record(world, capsys):
    world.cluster.lives = {0: [Life(ticks=60, lines=["a line", f"hopline-record {json.dumps(RECORD)}"])]}
    found = []

    def look(paused):
        for job in world.cluster.of("Job"):
            found.append({key: value for key, value in job["metadata"]["annotations"].items() if key in NOTED})

    world.between = look
    world.run()
    assert found[-1] == NOTED
    said = capsys.readouterr().err
    assert "a line" in said
    assert "hopline-record" not in said


def test_that_the_job_cannot_be_changed_is_no_reason_to_end_training(world):
    world.cluster.lives = {0: [Life(ticks=30, lines=[f"hopline-record {json.dumps(RECORD)}"])]}
    patches = []

    def refuse(request):
        if request.verb != "patch":
            return None
        patches.append(request)
        return (403, "no") if len(patches) == 2 else None

    world.server.fault = refuse
    world.run()
    assert len(patches) >= 2
    assert world.left == []


@pytest.mark.parametrize("change", [{"phase": "validating"}, {"total": 0}, {"total": None}])
def test_what_is_no_progress_of_training_is_not_noted(change):
    assert described(RECORD | change) == {}


def test_time_that_nobody_can_tell_is_left_open():
    assert described(RECORD | {"seconds_left": None})["hopline/seconds-left"] == ""
