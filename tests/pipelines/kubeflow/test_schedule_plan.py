"""Which step comes next, and what is told of it: pure functions of what is wanted and what is there."""

from dataclasses import replace

import pytest

from hopline.runtime.errors import UserError
from pipelines.kubeflow.resources import RecurringRun, Version
from pipelines.kubeflow.schedule_plan import MARK, Step, Wanted, flat, next_step, outline

WANTED = Wanted(
    name="nightly", cron="0 0 3 * * *", paused=False, version=Version(id="v2", pipeline="p", name="abc"),
    experiment="e", parameters={"registry": "s3://bucket", "train": '{"epochs":4,"seed":1}'},
)  # fmt: skip


def present(identity, *, enabled, mark=MARK, **changes):
    """A schedule as the server has it: what is wanted, but for the changes."""
    content = {
        "cron": WANTED.cron, "max_concurrency": 1, "no_catchup": True, "pipeline": "p", "version": "v2",
        "experiment": "e", "service_account": "pipeline-runner", "parameters": WANTED.parameters, **changes,
    }  # fmt: skip
    return RecurringRun(id=identity, name="nightly", enabled=enabled, description=f"{mark} ({identity})", **content)


NEW, SAME, OLD, OLDER = (
    present("new", enabled=False),
    present("same", enabled=True),
    present("old", enabled=True, version="v1"),
    present("older", enabled=False, version="v0"),
)
PAUSED = replace(WANTED, paused=True)


@pytest.mark.parametrize(
    ("wanted", "found", "left", "step"),
    [
        (WANTED, [], (), Step("create")),
        (WANTED, [OLD], (), Step("create")),
        (WANTED, [NEW, OLD], (), Step("disable", OLD)),
        (WANTED, [NEW, replace(OLD, enabled=False)], (), Step("enable", NEW)),
        (WANTED, [SAME, replace(OLD, enabled=False)], (), Step("delete", replace(OLD, enabled=False))),
        (WANTED, [SAME, OLDER], ("older",), None),
        (WANTED, [SAME], (), None),
        (WANTED, [NEW], (), Step("enable", NEW)),
        (PAUSED, [], (), Step("create")),
        (PAUSED, [SAME], (), Step("disable", SAME)),
        (PAUSED, [NEW], (), None),
        (PAUSED, [NEW, OLD], (), Step("disable", OLD)),
        (PAUSED, [NEW, OLDER], (), Step("delete", OLDER)),
        # Of two that are alike the enabled one stays, else the older one.
        (WANTED, [NEW, SAME], (), Step("delete", NEW)),
        (WANTED, [SAME, NEW], (), Step("delete", NEW)),
        (WANTED, [NEW, replace(NEW, id="first")], (), Step("enable", replace(NEW, id="first"))),
        (WANTED, [replace(SAME, id="second"), SAME], (), Step("disable", replace(SAME, id="second"))),
    ],
)
def test_the_next_step(wanted, found, left, step):
    assert next_step(wanted, found, frozenset(left)) == step


@pytest.mark.parametrize(
    "changes",
    [
        {"cron": "0 0 4 * * *"}, {"version": "v1"}, {"version": ""}, {"experiment": "f"}, {"max_concurrency": 2},
        {"no_catchup": False}, {"parameters": {}}, {"parameters": {**WANTED.parameters, "job": "{}"}},
        {"parameters": {**WANTED.parameters, "train": '{"epochs":5,"seed":1}'}},
    ],
)  # fmt: skip
def test_any_difference_replaces_it(changes):
    found = present("old", enabled=True, **changes)
    assert not WANTED.describes(found)
    assert next_step(WANTED, [found]) == Step("create")


def test_the_servers_own_service_account_is_no_difference_and_another_one_is():
    assert WANTED.describes(SAME)
    assert not replace(WANTED, service_account="trainer").describes(SAME)


def test_differences_are_told_key_by_key():
    found = present("old", enabled=True, cron="0 0 4 * * *", parameters={"train": '{"epochs":5,"seed":1}', "job": "{}"})
    assert WANTED.differences(found) == [
        "cron: 0 0 4 * * * -> 0 0 3 * * *", "train.epochs: 5 -> 4", "job: {} -> nothing",
        "registry: nothing -> s3://bucket",
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["{}", "[1]", "3", "text", "{", 3, None, ["a"]])
def test_what_holds_no_section_stays_whole(value):
    assert flat({"name": value}) == {"name": value}


def test_a_schedule_that_somebody_else_made_is_left_alone():
    with pytest.raises(UserError, match="other"):
        next_step(WANTED, [SAME, present("other", enabled=True, mark="Created in the UI")])


@pytest.mark.parametrize(
    ("wanted", "found", "lines"),
    [
        (WANTED, [], ["new: 0 0 3 * * *, version abc"]),
        (PAUSED, [], ["new: 0 0 3 * * *, version abc", "paused"]),
        (WANTED, [SAME], []),
        (WANTED, [OLD], ["version: aaa -> abc", "delete old, an old one, when none of its runs is active"]),
        (PAUSED, [SAME], ["pause"]),
        (WANTED, [NEW], ["resume"]),
        (WANTED, [SAME, OLDER], ["delete older, an old one, when none of its runs is active"]),
    ],
)
def test_the_outline_tells_what_apply_would_change(wanted, found, lines):
    assert outline(wanted, found, {"v2": "abc", "v1": "aaa"}) == lines


def test_the_outline_does_not_speak_of_a_schedule_that_somebody_else_made():
    with pytest.raises(UserError, match="other"):
        outline(WANTED, [present("other", enabled=True, mark="Created in the UI")], {})


def test_the_outline_does_not_pause_what_is_paused_already():
    lines = outline(PAUSED, [OLDER], {"v2": "abc", "v0": "zzz"})
    assert lines == ["version: zzz -> abc", "delete older, an old one, when none of its runs is active"]


def test_where_none_is_enabled_the_outline_compares_with_the_newest():
    assert outline(WANTED, [replace(OLD, enabled=False), OLDER], {"v2": "abc", "v1": "aaa"})[0] == "version: aaa -> abc"
