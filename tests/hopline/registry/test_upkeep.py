"""Removing old versions, and checking and mending what a registry holds."""

import json
import multiprocessing
import os

import pytest

from hopline.registry.registry import Registry
from hopline.registry.upkeep import DAMAGED, MENDED, NOTE, doomed, examine, prune
from hopline.runtime.errors import UserError
from hopline.store import folders
from hopline.store.objects import Store
from tests.registries import litter, overwrite, promote, versions

fork = multiprocessing.get_context("fork")


def states(registry, *wanted, **options):
    """The findings in one of the states `wanted`, by name."""
    return {found.name: found.text for found in examine(registry, **options) if found.state in wanted}


def fill(registry, model, names):
    for name in names:
        promote(registry, model(name))


def test_prune_keeps_the_newest_and_always_champion_and_predecessor(registry, model):
    fill(registry, model, "abcde")
    assert prune(registry, 1) == [1, 2, 3]
    assert versions(registry) == {"4", "5"}
    assert registry.backend.read("index.html").content.count(b"removed by prune") == 3
    assert [version.state for version in registry.lineage()] == ["removed"] * 3 + ["predecessor", "champion"]
    assert registry.rollback().version == 4
    assert states(registry, DAMAGED) == {}


def test_after_rollbacks_prune_keeps_an_old_champion_and_the_version_before_it(local_registry, model):
    fill(local_registry, model, "abcde")
    for _ in range(3):
        local_registry.rollback()
    assert local_registry.champion().version == 2
    assert doomed(local_registry, 1) == [3, 4]
    assert prune(local_registry, 1) == [3, 4]
    assert local_registry.rollback().version == 1


@pytest.mark.parametrize("registry", ["local", "gs"], indirect=True)
def test_a_rollback_to_a_removed_version_says_so(registry, model):
    fill(registry, model, "abc")
    prune(registry, 1)
    assert registry.rollback().version == 2
    with pytest.raises(UserError, match="version 1, which a rollback goes to, was removed"):
        registry.rollback()


@pytest.mark.parametrize("registry", ["local", "gs"], indirect=True)
def test_prune_leaves_what_no_entry_names(registry, model):
    """It may be a promotion under way."""
    fill(registry, model, "abc")
    litter(registry, "versions/9/manifest.json")
    assert prune(registry, 1) == [1]
    assert versions(registry) == {"2", "3", "9"}


@pytest.mark.parametrize("keep", [0, -1])
def test_prune_keeps_one_at_least(local_registry, model, keep):
    fill(local_registry, model, "a")
    with pytest.raises(UserError, match=f"--keep is {keep}"):
        prune(local_registry, keep)


def test_a_rollback_during_prune_keeps_what_it_may_need(bucket, model):
    """In an object store no lock keeps writers apart."""
    registry = Registry(f"{bucket('gs')}/registry")
    fill(registry, model, "abcde")
    assert doomed(registry, 1) == [1, 2, 3]
    assert prune(registry, 1, lambda version: registry.rollback() if version == 1 else None) == [1, 2]
    assert registry.rollback().version == 3


def test_prune_makes_no_registry_where_none_was(local_registry):
    with pytest.raises(UserError, match="has no champion"):
        prune(local_registry, 1)
    assert not local_registry.path.exists()


@pytest.mark.parametrize("registry", ["local", "gs"], indirect=True)
def test_a_new_promotion_after_prune_takes_a_new_number(registry, model):
    fill(registry, model, "abc")
    prune(registry, 1)
    assert promote(registry, model("d")).version == 4


def _prune_and_die(path, owner, name, call):
    """Prunes in a process that leaves without clean-up at a call of `owner.name`."""
    real, calls = getattr(owner, name), []

    def deadly(*args, **kwargs):
        calls.append(args)
        if len(calls) == call:
            os._exit(9)
        return real(*args, **kwargs)

    setattr(owner, name, deadly)
    prune(Registry(path), 1)


@pytest.mark.multiprocess
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_prune_that_was_killed_is_ended_by_the_next(registry, model, call):
    fill(registry, model, "abcd")
    owner, name = (folders, "remove_tree") if registry.backend.locate("x").startswith("/") else (Store, "delete")
    process = fork.Process(target=_prune_and_die, args=(registry.path, owner, name, call))
    process.start()
    process.join()
    assert process.exitcode == (0 if name == "remove_tree" and call == 3 else 9)
    assert registry.verify().version == 4
    assert states(registry, DAMAGED) == {}
    prune(registry, 1)
    assert versions(registry) == {"3", "4"}
    assert states(registry, DAMAGED) == {}


def test_a_sound_registry_has_nothing_to_mend(registry, model):
    fill(registry, model, "ab")
    assert states(registry, DAMAGED, MENDED, NOTE) == {}
    assert {found.name for found in examine(registry)} == {
        "champion.json", "history/1.json", "history/2.json", "versions/1", "versions/2",
    }  # fmt: skip


@pytest.mark.parametrize("registry", ["local", "gs"], indirect=True)
@pytest.mark.parametrize(
    ("name", "mended"),
    [("history/2.json", "history/2.json"), ("versions/1/card.md", "versions/1/card.md"), ("index.html", None)],
)
def test_what_is_missing_and_known_is_written_anew(registry, model, name, mended):
    fill(registry, model, "ab")
    before = registry.backend.read(name).content
    overwrite(registry, name, None)
    assert set(states(registry, MENDED)) == ({mended} if mended else set())
    assert registry.backend.read(name).content == before
    assert states(registry, MENDED, DAMAGED) == {}


@pytest.mark.parametrize("content", [b"torn", None])
def test_a_tampered_file_of_any_version_is_found(registry, model, content):
    fill(registry, model, "ab")
    overwrite(registry, "versions/1/saved_model/weights", content)
    assert set(states(registry, DAMAGED)) == {"versions/1"}
    assert registry.verify().version == 2


def test_a_version_that_holds_another_model_whole_is_found(local_registry, model):
    fill(local_registry, model, "ab")
    folders.place(model("c"), local_registry.path / "versions" / "1")
    assert "it holds model" in states(local_registry, DAMAGED)["versions/1"]


def test_content_that_was_changed_behind_a_true_digest_is_found_in_an_object_store(bucket, model, tmp_path):
    """The digest that a store keeps with an object is what the writer said."""
    registry = Registry(f"{bucket('gs')}/registry")
    fill(registry, model, "a")
    spoiled = tmp_path / "spoiled"
    spoiled.write_text("torn")
    digest = registry.manifest(1).files["saved_model/weights"]
    Store(registry.path).upload_file(spoiled, "versions/1/saved_model/weights", sha256=digest)
    assert registry.verify().version == 1
    assert set(states(registry, DAMAGED)) == {"versions/1"}


@pytest.mark.parametrize("registry", ["local", "gs"], indirect=True)
def test_an_entry_that_is_lost_and_not_the_champions_is_named(registry, model):
    fill(registry, model, "abc")
    overwrite(registry, "history/2.json", None)
    assert set(states(registry, DAMAGED)) == {"history/2.json"}


@pytest.mark.parametrize("registry", ["local", "gs"], indirect=True)
@pytest.mark.parametrize("damage", ["truncated", "lost", "old"])
def test_repair_gives_a_pointer_back_that_was_damaged_lost_or_old(registry, model, damage):
    fill(registry, model, "ab")
    good = registry.champion()
    content = {
        "truncated": b'{"version": 1, "mod',
        "lost": None,
        "old": registry.backend.read("history/1.json").content,
    }
    overwrite(registry, "champion.json", content[damage])
    assert set(states(registry, DAMAGED)) == {"champion.json"}
    assert set(states(registry, MENDED, repair=True)) == {"champion.json"}
    assert registry.champion() == good
    assert promote(registry, model("c")).version == 3


def test_repair_makes_no_champion_of_a_version_that_is_damaged(local_registry, model):
    fill(local_registry, model, "ab")
    overwrite(local_registry, "champion.json", b"")
    overwrite(local_registry, "versions/2/saved_model/weights", b"torn")
    with pytest.raises(UserError, match="differs from its recorded SHA-256"):
        list(examine(local_registry, repair=True))


def test_repair_leaves_the_pointer_of_a_newer_hopline(local_registry, model):
    fill(local_registry, model, "ab")
    newer = json.dumps({**local_registry.champion().content(), "schema_version": 9}).encode()
    overwrite(local_registry, "champion.json", newer)
    with pytest.raises(UserError, match="schema version 9, of a newer hopline"):
        list(examine(local_registry, repair=True))
    assert local_registry.backend.read("champion.json").content == newer


def test_a_clock_that_went_back_and_a_version_that_nobody_names_are_notes(local_registry, model, monkeypatch):
    fill(local_registry, model, "a")
    monkeypatch.setattr("hopline.registry.registry._now", lambda: "2001-01-01T00:00:00+00:00")
    fill(local_registry, model, "b")
    litter(local_registry, "versions/7/saved_model/weights")
    assert set(states(local_registry, NOTE)) == {"history/2.json", "versions/7"}
    assert states(local_registry, DAMAGED) == {}


def test_a_version_of_a_newer_hopline_is_named_with_both_versions(registry, model):
    fill(registry, model, "a")
    content = json.loads(registry.backend.read("versions/1/manifest.json").content)
    newer = {"schema_version": 7, "versions": {"hopline": "9.0.0"}, "layout": content}
    overwrite(registry, "versions/1/manifest.json", json.dumps(newer).encode())
    assert "schema version 7, of a newer hopline (9.0.0)" in states(registry, DAMAGED)["versions/1"]
    with pytest.raises(UserError, match="schema version 7"):
        registry.manifest(1)
