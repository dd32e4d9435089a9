"""The steps among a workflow's nodes, on a server in memory and as a real one showed them."""

import pytest

from pipelines.kubeflow.nodes import STEPS, pods, views
from pipelines.kubeflow.resources import Run, run_of
from pipelines.watch import State
from tests.pipelines.kubeflow.workflow import Workflow

RUN = {"run_id": "r-1", "display_name": "night"}
ENDINGS = ("SUCCEEDED", "FAILED", "CANCELED")


@pytest.fixture
def workflow(server):
    return Workflow(server, dict(RUN))


def states(workflow):
    return {view.step: view.state for view in views(run_of(workflow.run))}


def test_a_run_without_a_workflow_waits():
    run = Run(id="r-1", name="night", state="PENDING")
    assert {view.state for view in views(run)} == {State.WAITING}
    assert pods(run, "resolve") == []


def test_steps_run_one_after_the_other(workflow):
    workflow.ends("resolve").finds("preprocess").starts("train")
    assert states(workflow) == {
        "resolve": State.DONE, "preprocess": State.FOUND, "train": State.RUNNING, "evaluate": State.WAITING,
        "promote": State.WAITING,
    }  # fmt: skip


def test_what_a_successful_run_did_not_do_was_skipped(workflow):
    workflow.ends("resolve").over("SUCCEEDED")
    assert list(states(workflow).values()) == [State.DONE, *[State.SKIPPED] * 4]


@pytest.mark.parametrize("ending", ["FAILED", "CANCELED"])
def test_what_a_failed_run_did_not_come_to_was_not_reached(workflow, ending):
    workflow.ends("resolve").ends("preprocess", state="FAILED").over(ending)
    assert list(states(workflow).values()) == [State.DONE, State.FAILED, *[State.NOT_REACHED] * 3]


def test_a_step_that_was_running_when_the_run_was_ended_was_stopped(workflow):
    workflow.ends("resolve").starts("preprocess").over("CANCELED")
    assert states(workflow)["preprocess"] == State.STOPPED


def test_a_step_whose_driver_failed_has_failed(workflow):
    workflow.ends("resolve").starts("preprocess")
    (driver,) = (name for name in workflow.nodes if name.endswith("preprocess-driver"))
    workflow._set(driver, "FAILED")
    assert states(workflow)["preprocess"] == State.FAILED


def test_every_step_has_the_pod_of_its_own(workflow):
    for step in STEPS:
        workflow.ends(step)
    run = run_of(workflow.run)
    assert [pods(run, step)[0] for step in STEPS] == [workflow.pod(step) for step in STEPS]


def test_the_pod_of_a_step_is_that_of_its_last_try(workflow):
    workflow.ends("resolve", tries=11)
    assert pods(run_of(workflow.run), "resolve")[0] == workflow.pod("resolve", again=10)
    assert pods(run_of(workflow.run), "resolve")[1] == workflow.pod("resolve", "retry-system-container-impl", again=10)


def test_a_result_from_the_cache_has_no_pod(workflow):
    workflow.finds("preprocess")
    assert pods(run_of(workflow.run), "preprocess") == []
