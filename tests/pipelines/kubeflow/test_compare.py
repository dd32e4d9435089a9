"""`hopline compare` with runs on a server in memory, told of in their parameters and logs."""

import json
import re

import pytest

from hopline.runtime.errors import ExitCode
from pipelines.cli import main
from tests.pipelines.kubeflow.test_client import start
from tests.pipelines.kubeflow.test_follow import FACTS, FAILURE, record
from tests.pipelines.kubeflow.workflow import Workflow
from tests.pipelines.test_compare import make_run

FOUND = {
    "model": {"parameters": 720, "steps": 3},
    "content": {
        "challenger": {"perplexity": 111.5, "bits_per_character": 1.5},
        "slices": [{"group": "frequency", "name": "rare", "challenger_perplexity": 512.5}],
    },
    "steps": [{"step": 1, "epoch": 1.0, "loss": 5.0, "targets_per_second": 10.0, "time": 1000.0}],
    "validations": [{"step": 1, "epoch": 1.0, "valid_loss": 4.0, "time": 1005.0}],
}


@pytest.fixture
def played(server, client):
    """Plays a run to an end, and returns its id."""

    def make(rate, act):
        run = server.runs[start(client).id]
        run["runtime_config"]["parameters"] = {"train": json.dumps({"learning_rate": rate}), "launcher": "local"}
        act(Workflow(server, run))
        return run["run_id"]

    return make


def evaluated(log):
    return lambda workflow: workflow.ends("train").ends("evaluate", log).over("SUCCEEDED")


@pytest.fixture
def compare(server, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("HOPLINE_KFP_HOST", server.url)

    def run(*arguments):
        code = main(["compare", *arguments, "--output", str(tmp_path / "out"), "-o", "json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out)["tables"] if captured.out else {}, captured.err

    return run


def test_runs_of_a_cluster_and_of_this_machine_stand_side_by_side(played, compare, tmp_path):
    make_run(tmp_path / "out" / "runs" / "20261125-1", rate=0.32)
    there = played(0.64, evaluated(record("evaluation", **FACTS, baselines={"unigram": 677.25}, comparison=FOUND)))
    code, tables, _ = compare(there, "20261125-1")
    assert code == 0
    assert tables["configuration, where it differs"]["train.learning_rate"] == {there: 0.64, "20261125-1": 0.32}
    numbers = tables["numbers"]
    assert numbers["result"] == {there: "promoted", "20261125-1": "promoted"}
    assert numbers["perplexity"] == {there: 111.5, "20261125-1": 100.0}
    assert numbers["best validation perplexity"][there] == pytest.approx(54.598, abs=1e-3)
    assert numbers["baseline: word frequencies"][there] == 677.25
    assert tables["comparable perplexity by kind of word"]["frequency: rare"][there] == 512.5
    assert tables["speed"]["targets/s, median"] == {there: 10, "20261125-1": 3000}


def test_runs_that_failed_run_still_or_were_made_by_older_code_are_shown_with_what_they_left(played, compare):
    failed = played(0.1, lambda workflow: workflow.ends("train", FAILURE, "FAILED").over("FAILED"))
    running = played(0.2, lambda workflow: workflow.starts("train"))
    older = played(0.3, evaluated(record("evaluation", **FACTS)))
    cached = played(0.4, lambda workflow: workflow.finds("evaluate").over("SUCCEEDED"))
    code, tables, _ = compare(failed, running, older, cached)
    assert code == 0
    assert list(tables["configuration, where it differs"]["train.learning_rate"].values()) == [0.1, 0.2, 0.3, 0.4]
    results = tables["numbers"]["result"]
    assert [results[run] for run in (failed, running, older)] == ["failed", "running", "promoted"]
    assert tables["numbers"]["perplexity"] == {failed: None, running: None, older: 111.5, cached: None}


def test_a_run_that_is_not_there_or_is_named_twice_is_a_users_error(played, compare):
    there = played(0.1, evaluated(record("evaluation", **FACTS)))
    code, _, errors = compare(there, "00000000-0000-0000-0000-000000000000")
    assert code == ExitCode.USER
    assert re.search("00000000-0000", errors) or "not found" in errors
    assert compare(there, there)[0] == ExitCode.USER
