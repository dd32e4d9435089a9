"""Who was champion when, from the history alone."""

import dataclasses
import re
from datetime import timedelta

import pytest

from hopline.registry.lineage import Reign, versions_of
from hopline.registry.page import describe_change, describe_length, render_page
from tests.hopline.registry.test_records import RECORD


def entry(history, version, previous=None, *, day=None, perplexity=100.0, **card):
    promoted = f"2026-11-{day or history:02}T12:00:00+00:00"
    return dataclasses.replace(
        RECORD, history=history, version=version, previous=previous, promoted=promoted, perplexity=perplexity, card=card
    )


BASELINES = {"unigram": 677.2, "kneser_ney_2": 180.5, "kneser_ney_5": 119.4}

# Version 3 was bad: on the third day it was left for version 2; version 5 came then.
HISTORY = [entry(1, 1), entry(2, 2, 1), entry(3, 3, 2), entry(4, 2, 1), entry(5, 5, 2)]


def test_each_version_knows_when_it_was_champion_and_what_made_it_so():
    versions = {version.number: version for version in versions_of(HISTORY, {1, 2, 3, 5}, set())}
    assert list(versions) == [1, 2, 3, 5]
    assert [(reign.since[8:10], reign.until and reign.until[8:10], reign.rollback) for reign in versions[2].reigns] == [
        ("02", "03", False),
        ("04", "05", True),
    ]
    assert versions[5].reigns[0].until is None
    assert versions[1].reigns[0].length == timedelta(days=1)


def test_a_rollback_is_told_from_a_promotion_where_the_promotions_entry_is_lost():
    versions = versions_of(HISTORY[2:], {2, 3, 5}, set())
    assert [[reign.rollback for reign in version.reigns] for version in versions] == [[True], [False], [False]]


def test_the_states_tell_what_became_of_each_version():
    versions = versions_of(HISTORY, present={2, 3, 5}, removed={1})
    assert [(version.number, version.state) for version in versions] == [
        (1, "removed"), (2, "predecessor"), (3, "kept"), (5, "champion"),
    ]  # fmt: skip
    assert versions_of(HISTORY, present={2, 5}, removed={1})[2].state == "missing"
    assert versions_of(HISTORY, present=set(), removed=set())[3].state == "missing"


def test_after_a_rollback_no_other_version_is_champion_and_one_is_the_predecessor():
    versions = versions_of([*HISTORY, entry(6, 3, 2)], present={1, 2, 3, 5}, removed=set())
    assert [(version.number, version.state) for version in versions] == [
        (1, "kept"), (2, "predecessor"), (3, "champion"), (5, "kept"),
    ]  # fmt: skip


def test_a_promotion_whose_number_is_above_its_entrys_is_no_rollback():
    (version,) = versions_of([entry(3, 4)], {4}, set())
    assert not version.reigns[0].rollback


@pytest.mark.parametrize(
    ("until", "length"),
    [
        ("12:00:00", timedelta(0)),
        ("12:00:01", timedelta(seconds=1)),
        ("11:59:59", None),
        ("18:00:00", timedelta(hours=6)),
    ],
)
def test_a_reign_has_a_length_unless_the_clock_went_back(until, length):
    day = "2026-11-03T{}+00:00"
    assert Reign(day.format("12:00:00"), day.format(until), rollback=False, history=1).length == length


def test_as_data_a_version_says_what_made_it_champion_and_by_which_number_it_compares():
    versions = versions_of([*HISTORY[:4], entry(5, 5, 2, compared="characters")], {2, 5}, set())
    by_number = {version.number: version.content() for version in versions}
    assert [reign["by"] for reign in by_number[2]["champion"]] == ["promotion", "rollback"]
    assert (by_number[2]["compared_by"], by_number[5]["compared_by"]) == ("comparable_perplexity", "bits_per_character")


def test_without_a_history_there_is_nothing():
    assert versions_of([], {1}, set()) == []


def test_the_change_is_that_of_the_comparable_perplexity():
    card = {"numbers": {"comparable_perplexity": 90.0}, "predecessor": {"comparable_perplexity": 120.0}}
    version = versions_of([entry(1, 1, **card)], {1}, set())[0]
    assert describe_change(version) == "25.00% below the champion before it"
    card["numbers"]["comparable_perplexity"] = "inf"
    assert describe_change(versions_of([entry(1, 1, **card)], {1}, set())[0]) == ""


def test_models_of_other_tokens_change_in_bits_per_character():
    numbers = {"comparable_perplexity": 90.0, "bits_per_character": 1.5}
    before = {"comparable_perplexity": 12.0, "bits_per_character": 1.2}
    version = versions_of([entry(1, 1, compared="characters", numbers=numbers, predecessor=before)], {1}, set())[0]
    assert describe_change(version) == "25.00% above the champion before it in bits per character"


def test_of_the_baselines_the_simplest_and_the_best_lead():
    version = versions_of([entry(1, 1, baselines=BASELINES)], {1}, set())[0]
    assert version.leading_baselines == {"word frequencies": 677.2, "Kneser-Ney 5-gram": 119.4}
    assert versions_of([entry(1, 1)], {1}, set())[0].leading_baselines == {}


def test_lengths_are_told_in_their_two_greatest_units():
    assert describe_length(timedelta(days=3, hours=4, minutes=5)) == "3 d 4 h"
    assert describe_length(timedelta(hours=4, minutes=5)) == "4 h 5 min"
    assert describe_length(timedelta(minutes=5, seconds=6)) == "5 min 6 s"


def test_the_page_says_who_is_champion_and_why_and_where_a_rollback_goes():
    history = [*HISTORY[:-1], entry(5, 5, 2, perplexity=87.25, decision=["gain: <much>"], baselines=BASELINES)]
    page = render_page(versions_of(history, {2, 3, 5}, {1}))
    assert "Version 5 is champion" in page
    assert "87.25 on test" in page
    assert "A rollback goes to version 2." in page
    assert "gain: &lt;much&gt;" in page
    assert "word frequencies: 677.2" in page
    assert 'href="versions/5/card.md"' in page
    assert 'href="versions/1/card.md"' not in page
    assert page.count("rollback</td>") == 1


def test_the_page_tells_times_in_the_order_of_the_history_though_a_clock_went_back():
    history = [entry(1, 1, day=20), entry(2, 2, 1, day=3), entry(3, 3, 2, day=4)]
    page = render_page(versions_of(history, {1, 2, 3}, set()))
    told = re.findall(r'<td data-name="champion">version (\d)</td>', page)
    assert told == ["3", "2", "1"]


def test_the_page_needs_nothing_from_elsewhere():
    page = render_page(versions_of(HISTORY, {1, 2, 3, 5}, set()))
    assert not re.search(r"<script|https?://|<link|@import|url\(", page)
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert "Nothing has been promoted yet" in render_page([])
