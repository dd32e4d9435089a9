import dataclasses
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from hopline import artifacts, remote, storage
from hopline.errors import StaleBlessingError, UserError
from hopline.objects import Store
from hopline.registry import Registry

fork = multiprocessing.get_context("fork")


def make_model(folder: Path, weights: str) -> artifacts.Manifest:
    (folder / "saved_model").mkdir(parents=True)
    (folder / "saved_model" / "weights").write_text(weights)
    return artifacts.seal(folder, "model", parents={}, config={}, facts={"fingerprint": f"corpus of {weights}"})


@pytest.fixture(params=["local", "gs", "s3"])
def registry(request, tmp_path, bucket):
    """An empty registry in each kind of place."""
    return Registry(tmp_path / "registry" if request.param == "local" else f"{bucket(request.param)}/registry")


@pytest.fixture
def local_registry(tmp_path):
    """An empty registry in a folder, for tests that look into the folder or kill what writes there."""
    return Registry(tmp_path / "registry")


@pytest.fixture(params=["gs", "s3"])
def remote_registry(request, bucket):
    """An empty registry in each kind of object store."""
    return Registry(f"{bucket(request.param)}/registry")


@pytest.fixture
def model(tmp_path):
    """Makes a model once for each name and returns its folder."""

    def make(name: str) -> Path:
        folder = tmp_path / "models" / name
        if not folder.exists():
            make_model(folder, name)
        return folder

    return make


def model_id(folder: Path) -> str:
    return artifacts.read_manifest(folder, "model").id


def overwrite(registry, name: str, content: bytes | None) -> None:
    """Replaces, or with None removes, what the registry holds under `name`, behind its back."""
    if isinstance(registry.path, Path):
        (registry.path / name).unlink()
        if content is not None:
            (registry.path / name).write_bytes(content)
    elif content is None:
        Store(registry.path).delete(name)
    else:
        Store(registry.path).write(name, content)


def versions(registry) -> set[str]:
    if isinstance(registry.path, Path):
        return {path.name for path in (registry.path / "versions").iterdir()}
    return {entry.name.split("/")[1] for entry in Store(registry.path).entries("versions/")}


def promote(registry, folder, evaluation=""):
    champion = registry.champion()
    return registry.promote(
        folder,
        evaluation=evaluation or f"evaluation of {folder.name}",
        perplexity=100.0,
        split="valid",
        compared_with=champion.model_id if champion else "",
    )


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
    folder = registry.fetch(champion.version, tmp_path / "fetched")
    assert artifacts.verify(folder, "model").id == champion.model_id


def test_a_version_in_a_folder_is_not_copied_to_be_used(local_registry, model, tmp_path):
    promote(local_registry, model("a"))
    assert str(local_registry.fetch(1, tmp_path / "unused")) == local_registry.location(1)


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


def _promote_generations(path, folders, start, results):
    """At every generation promotes another model against the champion that stands when all are ready."""
    registry = Registry(path)
    for generation, folder in enumerate(folders, 1):
        champion = registry.champion()
        start.wait(timeout=120)
        try:
            promoted = registry.promote(
                folder,
                evaluation=folder.name,
                perplexity=1.0,
                split="valid",
                compared_with=champion.model_id if champion else "",
            )
            results.put((generation, folder.name, promoted.version))
        except StaleBlessingError:
            results.put((generation, None, None))
        start.wait(timeout=120)


@pytest.mark.multiprocess
@pytest.mark.slow
def test_of_32_processes_that_promote_at_once_one_wins_each_generation(remote_registry, model):
    count, generations = 32, 3
    start, results = fork.Barrier(count), fork.Queue()
    processes = [
        fork.Process(
            target=_promote_generations,
            args=(
                remote_registry.path,
                [model(f"{number}-{generation}") for generation in range(1, generations + 1)],
                start,
                results,
            ),
        )
        for number in range(count)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in range(count * generations)]
    for process in processes:
        process.join()
    winners = {generation: (name, version) for generation, name, version in found if name}
    assert sorted(generation for generation, name, _ in found if name) == [1, 2, 3]
    history = remote_registry.history()
    assert [(entry.evaluation, entry.version) for entry in history] == [winners[number] for number in (1, 2, 3)]
    assert [entry.history for entry in history] == [1, 2, 3]
    assert versions(remote_registry) == {str(entry.version) for entry in history}
    assert remote_registry.verify() == history[-1]


def _promote_remotely_and_die(path, folder, name, call, after):
    """Promotes in a process that leaves without clean-up before, or `after`, a call of the Store method `name`."""
    real, calls = getattr(Store, name), []

    def deadly(*args, **kwargs):
        calls.append(args)
        number = len(calls)
        if number == call and not after:
            os._exit(9)
        result = real(*args, **kwargs)
        if number == call:
            os._exit(9)
        return result

    setattr(Store, name, deadly)
    promote(Registry(path), folder)


REMOTE_KILLS = [
    ("write", 1, False),  # before anything
    ("write", 1, True),  # after the claim
    ("upload_file", 1, True),  # half-way through the version
    ("write", 2, True),  # after the version, whose manifest is last
    ("write", 3, False),  # before the pointer
]


@pytest.mark.multiprocess
@pytest.mark.parametrize("kill", REMOTE_KILLS)
@pytest.mark.parametrize("retried", [True, False], ids=["retried", "another"])
def test_killed_before_the_pointer_moves_in_an_object_store_the_old_champion_stands(
    remote_registry, model, kill, retried
):
    first = promote(remote_registry, model("a"))
    process = fork.Process(target=_promote_remotely_and_die, args=(remote_registry.path, model("killed"), *kill))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert remote_registry.verify() == first
    assert remote_registry.history() == [first]

    winner = promote(remote_registry, model("killed" if retried else "next"))
    assert remote_registry.verify() == winner
    assert remote_registry.history() == [first, winner]
    assert winner.version == (2 if retried or kill == REMOTE_KILLS[0] else 3)  # no other takes a number that is claimed
    assert remote_registry.rollback().version == 1


@pytest.mark.multiprocess
def test_killed_after_the_pointer_moved_in_an_object_store_the_promotion_stands(remote_registry, model):
    process = fork.Process(target=_promote_remotely_and_die, args=(remote_registry.path, model("a"), "write", 3, True))
    process.start()
    process.join()
    assert process.exitcode == 9
    champion = remote_registry.champion()
    assert champion.model_id == model_id(model("a"))
    assert remote_registry.history() == [champion]
    second = promote(remote_registry, model("b"))
    assert remote_registry.history() == [champion, second]


def _promote_and_die(path, folder, name, call, after):
    """Promotes in a process that leaves without clean-up before, or `after`, a call of `storage.<name>`."""
    real, calls = getattr(storage, name), []

    def deadly(*args, **kwargs):
        calls.append(args)
        if len(calls) == call and not after:
            os._exit(9)
        real(*args, **kwargs)
        if len(calls) == call:
            os._exit(9)

    setattr(storage, name, deadly)
    promote(Registry(path), folder)


KILLS = [
    ("place", 1, False),  # before anything
    ("_sync_tree", 1, False),  # half-way through the version's folder
    ("place", 1, True),  # after the version
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


@pytest.mark.multiprocess
def test_killed_after_the_pointer_moved_the_promotion_stands_and_the_next_one_completes_the_history(
    local_registry, model
):
    process = fork.Process(target=_promote_and_die, args=(local_registry.path, model("a"), "write_json", 1, True))
    process.start()
    process.join()
    assert process.exitcode == 9
    champion = local_registry.champion()
    assert champion.model_id == model_id(model("a"))
    second = promote(local_registry, model("b"))
    assert local_registry.history() == [champion, second]
    assert (local_registry.path / "history" / "1.json").exists()


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
    assert artifacts.verify(registry.fetch(1, tmp_path / "fetched"), "model").id == model_id(model("a"))


def test_verify_restores_a_missing_history_entry(registry, model):
    champion = promote(registry, model("a"))
    overwrite(registry, "history/1.json", None)
    assert registry.verify() == champion
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
        storage.place(model("b"), registry.path / "versions" / "1")
    else:
        remote.send_tree(model("b"), registry.location(1), "test")
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
