"""What `champion.json` and the history say, across versions of hopline."""

import dataclasses
import json

import pytest

from hopline.registry.records import SCHEMA_VERSION, Champion, parse_record
from hopline.runtime.errors import UserError

RECORD = Champion(
    version=3, model_id="m", fingerprint="f", evaluation="e", perplexity=100.5, split="test",
    promoted="2026-11-25T13:00:00+00:00", history=4, previous=2, card={"license": "MIT"},
)  # fmt: skip


def parse(**changes):
    return parse_record(json.dumps({**RECORD.content(), **changes}).encode(), "champion.json", "mend it")


def test_a_record_is_read_as_it_was_written():
    assert parse() == RECORD


def test_a_record_without_a_schema_version_is_of_the_first():
    content = {key: value for key, value in RECORD.content().items() if key not in ("schema_version", "card")}
    record = parse_record(json.dumps(content).encode(), "champion.json", "")
    assert record == dataclasses.replace(RECORD, card={})


def test_a_field_that_this_hopline_does_not_know_is_no_obstacle():
    assert parse(mood="cheerful") == RECORD
    assert parse(mood="cheerful", schema_version=1) == RECORD


@pytest.mark.parametrize("changes", [{}, {"version": "of another form", "layout": 7}])
def test_a_record_of_a_newer_hopline_is_named_with_both_versions_whatever_its_form(changes):
    with pytest.raises(UserError) as caught:
        parse(schema_version=SCHEMA_VERSION + 1, **changes)
    assert f"schema version {SCHEMA_VERSION + 1}, of a newer hopline" in caught.value.message
    assert f"up to {SCHEMA_VERSION}" in caught.value.message
    assert "damaged" not in caught.value.message


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": "2"}, {"schema_version": True}, {"version": "1"}, {"version": 0}, {"history": -1},
        {"previous": 0}, {"promoted": "yesterday"}, {"promoted": "2026-11-25T13:00:00"}, {"perplexity": None},
        {"perplexity": float("nan")}, {"card": []}, {"split": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_cannot_be_is_damage_and_is_shown(changes):
    with pytest.raises(UserError, match=r"champion\.json is damaged") as caught:
        parse(**changes)
    assert caught.value.remedy == "mend it"


@pytest.mark.parametrize("field", ["version", "model_id", "promoted", "previous"])
def test_a_record_that_lacks_a_field_is_damaged_and_the_field_is_named(field):
    content = {key: value for key, value in RECORD.content().items() if key != field}
    with pytest.raises(UserError, match=rf"champion\.json is damaged: .*'{field}'"):
        parse_record(json.dumps(content).encode(), "champion.json", "mend it")


def test_the_first_version_and_the_first_entry_are_numbered_one():
    first = parse(version=1, history=1, previous=1)
    assert (first.version, first.history, first.previous) == (1, 1, 1)


def test_records_are_of_the_second_schema_version_which_every_hopline_so_far_reads():
    assert RECORD.content()["schema_version"] == 2
