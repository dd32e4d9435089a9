"""`hopline schedule`, as a person gives it."""

import json

import pytest

from hopline.runtime.errors import ExitCode
from pipelines.cli import main
from pipelines.config.config import Config
from pipelines.kubeflow import schedule as schedules
from pipelines.kubeflow.submission import prepare
from tests.pipelines.kubeflow.server import failing

CONFIG = """\
[schedule]
display_name = "nightly"
cron = "0 0 3 * * *"

[cluster]
registry = "s3://models/nightly"

[resolve]
skip_unchanged = true
"""


@pytest.fixture
def hopline(server, tmp_path, monkeypatch, capsys):
    """Gives a command to the server; returns its exit code and what it printed."""
    for name, seconds in {"_SETTLE_SECONDS": 0.0, "_POLL_SECONDS": 0.01, "_END_SECONDS": 0.02}.items():
        monkeypatch.setattr(schedules, name, seconds)
    (tmp_path / "retrain.toml").write_text(CONFIG)

    def call(action, *words):
        config = ("--config", str(tmp_path / "retrain.toml")) if action == "apply" else ()
        code = main(["schedule", action, *config, *words, "--host", server.url])
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def state(server):
    """What a schedule is, of each."""
    return [(made["display_name"], made["trigger"], made["status"]) for made in server.recurring.values()]


NIGHTLY = ("nightly", {"cron_schedule": {"cron": "0 0 3 * * *"}}, "ENABLED")


def test_a_schedule_is_applied_listed_paused_resumed_and_deleted(server, hopline):
    assert hopline("apply")[0] == ExitCode.DONE
    assert state(server) == [NIGHTLY]
    code, said = hopline("list")
    assert (code, "nightly" in said, " 03:00:00 UTC" in said) == (ExitCode.DONE, True, True)
    assert hopline("pause", "nightly")[0] == ExitCode.DONE
    assert state(server) == [(*NIGHTLY[:2], "DISABLED")]
    assert hopline("resume", "nightly")[0] == ExitCode.DONE
    assert state(server) == [NIGHTLY]
    assert hopline("delete", "nightly")[0] == ExitCode.DONE
    assert state(server) == []


def test_its_runs_get_the_configuration_and_the_version_that_was_compiled_now(server, hopline):
    hopline("apply", "--set", "train.epochs=3")
    (made,), (version,) = server.recurring.values(), server.versions.values()
    parameters = made["runtime_config"]["parameters"]
    assert parameters["registry"] == "s3://models/nightly"
    assert '"epochs":3' in parameters["train"]
    assert '"skip_unchanged":true' in parameters["resolve"]
    assert "schedule" not in parameters
    assert made["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]


def changing(server):
    """The requests so far that change anything."""
    return [request for request in server.requests if not any(word in request.operation for word in ("get", "list"))]


def test_a_second_apply_changes_nothing(server, hopline):
    hopline("apply")
    before = changing(server)
    assert hopline("apply")[0] == ExitCode.DONE
    assert changing(server) == before


@pytest.mark.parametrize("applied", [False, True])
def test_a_dry_run_shows_the_difference_and_changes_nothing(server, hopline, applied):
    if applied:
        hopline("apply")
    before = changing(server)
    code, said = hopline("apply", "--dry-run", "--set", "schedule.cron=0 0 4 * * *", "--set", "train.epochs=3")
    assert code == ExitCode.DONE
    assert "0 0 4 * * *" in said
    assert ("train.epochs: 100 -> 3" in said) == applied
    assert changing(server) == before


def test_a_dry_run_names_the_version_that_would_be_uploaded(server, hopline, tmp_path):
    names = prepare(Config.load(tmp_path / "retrain.toml")).version_names
    assert f"version {names[0]}\n" in hopline("apply", "--dry-run")[1]


def test_the_next_three_times_are_told(hopline):
    said = hopline("apply", "--set", "schedule.cron=0 0 0 1 1 *")[1]
    times = [line.split("fires at ")[1] for line in said.splitlines() if "fires at" in line]
    assert [time.split("-", 1)[1] for time in times] == ["01-01 00:00:00 UTC"] * 3
    assert len({time.split("-")[0] for time in times}) == 3


def test_a_pause_in_the_configuration_is_kept(server, hopline):
    assert "fires at" not in hopline("apply", "--set", "schedule.paused=true")[1]
    assert state(server) == [(*NIGHTLY[:2], "DISABLED")]


@pytest.mark.parametrize(
    "change",
    [
        ("--set", "schedule.cron=0 3 * * *"), ("--set", "cluster.registry=/tmp/registry"),
        ("--set", 'schedule.display_name=""', "--set", 'schedule.cron=""'),
    ],
)  # fmt: skip
def test_what_cannot_be_scheduled_is_refused_before_anything_is_sent(server, hopline, change):
    code, said = hopline("apply", *change)
    assert (code, server.requests) == (ExitCode.USER, [])
    assert "remedy" in said


def test_a_name_that_somebody_else_has_taken_is_refused(server, hopline):
    hopline("apply")
    for made in server.recurring.values():
        made["description"] = "made by hand"
    before = changing(server)
    code, said = hopline("apply", "--set", "train.epochs=3")
    assert (code, changing(server)) == (ExitCode.USER, before)
    assert "display_name" in said


def test_a_schedule_that_we_do_not_read_is_listed_all_the_same(server, hopline):
    hopline("apply")
    for made in server.recurring.values():
        made["trigger"] = {"periodic_schedule": {"interval_second": "60"}}
    code, said = hopline("list")
    assert (code, "nightly" in said) == (ExitCode.DONE, True)


def past_run(server, number, state):
    """A run of the one schedule, newer than those before it."""
    (made,) = server.recurring.values()
    server.runs[f"run-{number}"] = {
        "run_id": f"run-{number}", "display_name": f"nightly-{number}", "created_at": server.stamp(), "state": state,
        "experiment_id": made["experiment_id"], "recurring_run_id": made["recurring_run_id"],
        "finished_at": server.stamp(),
    }  # fmt: skip
    return server.runs[f"run-{number}"]


def test_the_list_shows_the_last_success_and_why_the_last_run_failed(server, hopline):
    hopline("apply")
    assert "last success never" in hopline("list")[1]
    success = past_run(server, 1, "SUCCEEDED")
    said = hopline("list")[1]
    assert "failed" not in said
    past_run(server, 2, "FAILED")["error"] = {"message": "the store is away"}
    said = hopline("list")[1]
    assert f"last success {success['finished_at'].replace('T', ' ').replace('Z', ' UTC')}" in said
    assert "run-2, failed: " in said
    assert "the store is away" in said
    past_run(server, 3, "SUCCEEDED")
    assert "failed" not in hopline("list")[1]


def test_the_list_is_a_document_where_one_is_asked_for(server, hopline):
    assert json.loads(hopline("list", "-o", "json")[1]) == []
    hopline("apply")
    past_run(server, 1, "FAILED")
    past_run(server, 2, "RUNNING")
    (found,) = json.loads(hopline("list", "-o", "json")[1])
    assert (found["name"], found["enabled"], found["active"]) == ("nightly", True, ["run-2"])
    assert (found["last_success"], found["last_run"]) == (None, "run-1")
    assert found["last_failure"]
    assert found["next"].endswith(" 03:00:00 UTC")


def test_a_schedule_with_a_long_past_is_not_read_to_its_beginning(server, hopline):
    hopline("apply")
    for number in range(450):
        past_run(server, number, "FAILED")
    before = len(server.called("run_service_list_runs"))
    hopline("list")
    assert len(server.called("run_service_list_runs")) - before <= 2


def test_deleting_says_how_to_end_the_run_that_is_active(server, hopline):
    hopline("apply")
    (made,) = server.recurring.values()
    run = {
        "run_id": "run-1", "display_name": "nightly-1", "created_at": server.stamp(), "state": "RUNNING",
        "experiment_id": made["experiment_id"], "recurring_run_id": made["recurring_run_id"],
    }  # fmt: skip
    server.runs["run-1"] = run
    code, said = hopline("delete", "nightly")
    assert (code, "--and-its-runs" in said, server.killed) == (ExitCode.USER, True, [])
    assert "run-1" in hopline("list")[1]
    assert hopline("delete", "nightly", "--and-its-runs")[0] == ExitCode.DONE
    assert (run["state"], state(server)) == ("CANCELING", [])


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (failing(2, (503, "no healthy upstream")), ExitCode.DONE),
        (failing(2, "cut"), ExitCode.DONE),
        (failing(10**6, (401, "token is expired")), ExitCode.USER),
        (failing(10**6, (409, "it is there"), "recurring_run_service_create_recurring_run"), ExitCode.USER),
    ],
)
def test_what_passes_is_waited_for_and_what_does_not_is_told(server, hopline, fault, code):
    server.fault = fault
    found, said = hopline("apply")
    assert found == code
    assert ("remedy" in said) == (code != ExitCode.DONE)


def test_a_server_that_is_down_is_told(server, hopline, monkeypatch):
    from pipelines.kubeflow import connection

    monkeypatch.setattr(connection.Connection.__init__, "__defaults__", (0.0, lambda seconds: None))
    server.close()
    code, said = hopline("apply")
    server.start()
    assert (code, "does not answer" in said) == (ExitCode.INTERNAL, True)
