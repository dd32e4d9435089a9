import dataclasses
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from hopline import artifacts
from hopline.registry.registry import Registry
from hopline.runtime.errors import StaleBlessingError, UserError
from hopline.store import folders, trees
from tests.registries import litter, model_id, overwrite, promote, versions

fork = multiprocessing.get_context("fork")


def test_an_empty_registry_has_no_champion_and_no_history(registry):
    assert registry.champion() is None
    assert registry.history() == []
    assert registry.verify() is None


def test_the_first_promotion_makes_version_one(registry, model):
    champion = promote(registry, model("a"))
    assert champion == registry.champion()
    assert (champion.version, champion.history, champion.previous) == (1, 1, None)
    assert (champion.model_id, champion.fingerprint) == (model_id(model("a")), "corpus of a")
    assert (champion.evaluation, champion.perplexity, champion.split) == ("evaluation of a", 100.0, "valid")
    assert champion.promoted.endswith("+00:00")


def test_a_version_is_the_whole_model_directory(registry, model, tmp_path):
    champion = promote(registry, model("a"))
    folder = registry.fetch(champion.version, tmp_path / "fetched", "test")
    assert artifacts.verify(folder, "model").id == champion.model_id
    assert (folder / "card.md").read_text().startswith("# Version 1")


def test_a_model_is_found_by_its_id_also_when_it_is_champion_no_more(registry, model):
    promote(registry, model("a"))
    promote(registry, model("b"))
    assert registry.version(model_id(model("a"))) == 1
    assert registry.version(model_id(model("b"))) == 2
    with pytest.raises(UserError, match="no version that is model never-promoted"):
        registry.version("never-promoted")


def test_one_file_of_a_version_is_read_and_checked(registry, model):
    version = promote(registry, model("a")).version
    manifest, text = registry.read(version, "saved_model/weights")
    assert (manifest.id, text) == (model_id(model("a")), "a")
    with pytest.raises(UserError, match=r"has no vocabulary\.txt"):
        registry.read(version, "vocabulary.txt")
    for spoiled in (b"another", None):
        overwrite(registry, f"versions/{version}/saved_model/weights", spoiled)
        with pytest.raises(UserError, match=r"weights (differs from|is missing)"):
            registry.read(version, "saved_model/weights")


def test_a_version_in_a_folder_is_not_copied_to_be_used(local_registry, model, tmp_path):
    promote(local_registry, model("a"))
    assert str(local_registry.fetch(1, tmp_path / "unused", "test")) == local_registry.location(1)


def test_a_second_promotion_names_its_predecessor_and_both_stay_in_the_history(registry, model):
    first, second = promote(registry, model("a")), promote(registry, model("b"))
    assert (second.version, second.previous) == (2, 1)
    assert registry.history() == [first, second]
    assert versions(registry) == {"1", "2"}


def test_promoting_the_champion_again_changes_nothing(registry, model):
    first = promote(registry, model("a"))
    assert promote(registry, model("a")) == first
    assert len(registry.history()) == 1


def test_a_retried_promotion_whose_pointer_was_swapped_succeeds(registry, model):
    promote(registry, model("a"))
    second = promote(registry, model("b"))
    retried = registry.promote(
        model("b"),
        evaluation="evaluation of b",
        perplexity=100.0,
        split="valid",
        compared_with=model_id(model("a")),
    )
    assert retried == second


@pytest.mark.parametrize("compared_with", ["", "another model"])
def test_a_decision_against_another_champion_is_stale(registry, model, compared_with):
    champion = promote(registry, model("a"))
    with pytest.raises(StaleBlessingError, match="is champion now"):
        registry.promote(model("b"), evaluation="e", perplexity=1.0, split="valid", compared_with=compared_with)
    assert registry.champion() == champion
    assert versions(registry) == {"1"}


def test_a_damaged_model_does_not_become_champion(registry, model):
    champion = promote(registry, model("a"))
    (model("b") / "saved_model" / "weights").write_text("torn")
    with pytest.raises(UserError, match="differs from its recorded SHA-256"):
        promote(registry, model("b"))
    assert registry.champion() == champion


def _promote_when_told(path, folder, start, wins):
    start.wait()
    try:
        Registry(path).promote(folder, evaluation=folder.name, perplexity=1.0, split="valid", compared_with="")
        wins.put(folder.name)
    except StaleBlessingError:
        wins.put(None)


@pytest.mark.multiprocess
@pytest.mark.parametrize("registry", ["local"], indirect=True)
def test_of_concurrent_promotions_exactly_one_wins(registry, model):
    count = 8
    start, wins = fork.Barrier(count), fork.Queue()
    processes = [
        fork.Process(target=_promote_when_told, args=(registry.path, model(str(number)), start, wins))
        for number in range(count)
    ]
    for process in processes:
        process.start()
    winners = [winner for winner in (wins.get(timeout=60) for _ in processes) if winner is not None]
    for process in processes:
        process.join()
    champion = registry.verify()
    assert [champion.evaluation] == winners
    assert registry.history() == [champion]


def _promote_and_die(path, folder, name, call, after):
    """Promotes in a process that leaves without clean-up before, or `after`, a call of `storage.<name>`."""
    real, calls = getattr(folders, name), []

    def deadly(*args, **kwargs):
        calls.append(args)
        if len(calls) == call and not after:
            os._exit(9)
        real(*args, **kwargs)
        if len(calls) == call:
            os._exit(9)

    setattr(folders, name, deadly)
    promote(Registry(path), folder)


KILLS = [
    ("place", 1, False),  # before anything
    ("_sync_tree", 1, False),  # half-way through the version's folder
    ("place", 1, True),  # after the version
    ("write_text", 1, True),  # after its card
    ("write_json", 1, False),  # before the pointer
]


@pytest.mark.multiprocess
@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("earlier", [[], ["a"]], ids=["first promotion", "second promotion"])
def test_killed_before_the_pointer_moves_the_old_champion_stands_and_the_next_promotion_succeeds(
    local_registry, model, earlier, kill
):
    for name in earlier:
        promote(local_registry, model(name))
    champion, history = local_registry.champion(), local_registry.history()
    process = fork.Process(target=_promote_and_die, args=(local_registry.path, model("killed"), *kill))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert local_registry.champion() == champion
    assert local_registry.history() == history

    winner = promote(local_registry, model("next"))
    assert local_registry.verify() == winner
    assert winner.version == len(earlier) + 1
    assert local_registry.history() == [*history, winner]
    assert not [path for path in local_registry.path.rglob("*") if path.name.endswith(".partial")]


LATE_KILLS = [
    ("write_json", 1, True),  # after the pointer
    ("write_json", 2, True),  # after the history entry
    ("write_text", 4, True),  # after the page
]


@pytest.mark.multiprocess
@pytest.mark.parametrize("kill", LATE_KILLS)
@pytest.mark.parametrize("retried", [True, False], ids=["retried", "another"])
def test_killed_after_the_pointer_moved_the_promotion_stands_and_the_next_run_completes_the_rest(
    local_registry, model, kill, retried
):
    process = fork.Process(target=_promote_and_die, args=(local_registry.path, model("a"), *kill))
    process.start()
    process.join()
    assert process.exitcode == 9
    champion = local_registry.champion()
    assert champion.model_id == model_id(model("a"))
    second = promote(local_registry, model("a" if retried else "b"))
    assert local_registry.history() == ([champion] if retried else [champion, second])
    assert (local_registry.path / "history" / "1.json").exists()
    assert f"Version {second.version} is champion" in (local_registry.path / "index.html").read_text()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"version": 1}', "null"], ids=["empty", "torn", "list", "bare", "short", "null"]
)
def test_a_damaged_pointer_is_an_error_with_a_remedy(registry, model, content):
    promote(registry, model("a"))
    overwrite(registry, "champion.json", content.encode())
    with pytest.raises(UserError, match=r"champion\.json is damaged") as caught:
        registry.champion()
    assert "history" in caught.value.remedy


def test_a_pointer_with_a_value_of_the_wrong_type_is_an_error(registry, model):
    champion = promote(registry, model("a"))
    content = {**dataclasses.asdict(champion), "version": "1"}
    overwrite(registry, "champion.json", json.dumps(content).encode())
    with pytest.raises(UserError, match="version is '1'"):
        registry.champion()


def test_the_remedy_for_a_damaged_pointer_works(local_registry, model):
    promote(local_registry, model("a"))
    champion = promote(local_registry, model("b"))
    (local_registry.path / "champion.json").write_text("")
    (local_registry.path / "champion.json").write_bytes((local_registry.path / "history" / "2.json").read_bytes())
    assert local_registry.verify() == champion


def test_a_lost_pointer_does_not_let_a_promotion_overwrite_the_versions(registry, model, tmp_path):
    promote(registry, model("a"))
    promote(registry, model("b"))
    overwrite(registry, "champion.json", None)
    with pytest.raises(UserError, match="the history goes on to 2"):
        promote(registry, model("c"))
    assert artifacts.verify(registry.fetch(1, tmp_path / "fetched", "test"), "model").id == model_id(model("a"))


def test_a_clock_that_goes_back_changes_no_order(registry, model, monkeypatch):
    first = promote(registry, model("a"))
    monkeypatch.setattr("hopline.registry.registry._now", lambda: "2001-01-01T00:00:00+00:00")
    second = promote(registry, model("b"))
    assert registry.history() == [first, second]
    older, newer = registry.lineage()
    assert (older.state, newer.state) == ("predecessor", "champion")
    assert older.reigns[0].length is None
    assert registry.rollback().version == 1


def test_the_champion_of_a_deleted_version_is_named_and_a_rollback_leaves_it(registry, model):
    promote(registry, model("a"))
    promote(registry, model("b"))
    registry.backend.discard(2)
    assert registry.champion().version == 2
    with pytest.raises(UserError, match="the champion, version 2, is damaged") as caught:
        registry.verify()
    assert f"`hopline models rollback --registry {registry.path}`" in caught.value.remedy
    assert registry.rollback().version == 1
    assert registry.verify().version == 1


def test_a_damaged_entry_of_the_history_hides_neither_the_champion_nor_the_way_back(registry, model):
    for name in "abc":
        promote(registry, model(name))
    overwrite(registry, "history/1.json", b"{")
    assert registry.champion().version == 3
    assert registry.version(model_id(model("b"))) == 2
    assert [version.number for version in registry.lineage()] == [2, 3]
    with pytest.raises(UserError, match=r"history/1\.json is damaged"):
        registry.history()
    assert registry.rollback().version == 2


def test_what_consoles_and_people_leave_beside_the_records_is_no_entry(registry, model):
    promote(registry, model("a"))
    for name in ("history/notes.json", "history/01.json", "versions/old/manifest.json"):
        litter(registry, name)
    if not isinstance(registry.path, Path):
        for placeholder in ("", "history/", "versions/", "versions/1/", "removed/"):
            litter(registry, placeholder)
    second = promote(registry, model("b"))
    assert (second.version, second.history) == (2, 2)
    assert registry.verify() == second
    assert registry.backend.versions(whole=False) == [1, 2]


def test_a_rollback_from_a_champion_that_was_replaced_meanwhile_is_refused(registry, model):
    promote(registry, model("a"))
    shown = promote(registry, model("b"))
    champion = promote(registry, model("c"))
    with pytest.raises(StaleBlessingError, match="version 2 was replaced"):
        registry.rollback(shown)
    assert registry.champion() == champion


def test_a_rollback_makes_no_registry_where_none_was(local_registry):
    with pytest.raises(UserError, match="has no champion"):
        local_registry.rollback()
    assert not local_registry.path.exists()


def damaged():
    raise UserError("damaged", remedy="mend it")


@pytest.mark.parametrize("spoiled", ["a folder", "damage"])
def test_a_page_that_cannot_be_written_undoes_no_promotion(local_registry, model, spoiled, capsys, monkeypatch):
    local_registry.path.mkdir()
    if spoiled == "a folder":
        (local_registry.path / "index.html").mkdir()
    else:
        monkeypatch.setattr(local_registry, "lineage", damaged)
    champion = promote(local_registry, model("a"))
    assert local_registry.champion() == champion
    assert "index.html was not written" in capsys.readouterr().err


def test_verify_restores_a_missing_history_entry(registry, model):
    champion = promote(registry, model("a"))
    overwrite(registry, "history/1.json", None)
    assert registry.verify() == champion
    assert not registry.complete_history(champion)
    overwrite(registry, "history/1.json", None)
    assert registry.complete_history(champion)
    second = promote(registry, model("b"))
    assert registry.history() == [champion, second]


def test_verify_refuses_a_damaged_version(registry, model):
    promote(registry, model("a"))
    overwrite(registry, "versions/1/saved_model/weights", b"torn")
    with pytest.raises(UserError, match="the champion, version 1, is damaged"):
        registry.verify()


def test_verify_refuses_a_version_that_holds_another_model(registry, model):
    promote(registry, model("a"))
    if isinstance(registry.path, Path):
        folders.place(model("b"), registry.path / "versions" / "1")
    else:
        trees.send_tree(model("b"), registry.location(1), "test")
    with pytest.raises(UserError, match="names model"):
        registry.verify()


def test_rollback_makes_the_predecessor_champion_as_a_new_entry(registry, model):
    first, second = promote(registry, model("a")), promote(registry, model("b"))
    champion = registry.rollback()
    assert dataclasses.replace(champion, promoted=first.promoted) == dataclasses.replace(first, history=3)
    assert registry.verify() == champion
    assert registry.history() == [first, second, champion]


def test_a_promotion_after_a_rollback_takes_a_new_number_and_skips_what_was_left(registry, model):
    promote(registry, model("a"))
    promote(registry, model("bad"))
    registry.rollback()
    champion = promote(registry, model("c"))
    assert (champion.version, champion.previous) == (4, 1)
    assert registry.rollback().version == 1


def test_a_second_rollback_goes_further_back(registry, model):
    for name in "abc":
        promote(registry, model(name))
    assert [registry.rollback().version, registry.rollback().version] == [2, 1]
    with pytest.raises(UserError, match="no version before"):
        registry.rollback()


@pytest.mark.parametrize("content", [b"torn", None])
def test_a_rollback_to_a_damaged_version_is_refused(registry, model, content):
    promote(registry, model("a"))
    champion = promote(registry, model("b"))
    overwrite(registry, "versions/1/saved_model/weights", content)
    with pytest.raises(UserError, match=r"weights (differs from|is missing)"):
        registry.rollback()
    assert registry.champion() == champion


def test_rollback_needs_a_champion(registry):
    with pytest.raises(UserError, match="no version before"):
        registry.rollback()


def test_a_repeated_promotion_does_not_undo_a_rollback(registry, model):
    promote(registry, model("a"))
    promote(registry, model("b"))
    champion = registry.rollback()
    with pytest.raises(UserError, match="blessed version 2"):
        promote(registry, model("b"))
    assert registry.champion() == champion
