"""The registry in an object store: many processes at once, and processes killed at every point."""

import multiprocessing
import os

import pytest

from hopline.registry.records import POINTER
from hopline.registry.registry import Registry
from hopline.runtime.errors import StaleBlessingError
from hopline.store.objects import Store
from tests.registries import model_id, promote, versions

fork = multiprocessing.get_context("fork")


@pytest.fixture(params=["gs", "s3"])
def remote_registry(request, bucket):
    """An empty registry in each kind of object store."""
    return Registry(f"{bucket(request.param)}/registry")


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
@pytest.mark.parametrize(("remote_registry", "count"), [("gs", 32), ("s3", 8)], indirect=["remote_registry"])
def test_of_many_processes_that_promote_at_once_one_wins_each_generation(remote_registry, model, count):
    generations = 3
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
    ("write", 3, True),  # after its card
    ("write", 4, False),  # before the pointer
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
@pytest.mark.parametrize("writes", [4, 5, 6], ids=["pointer", "history", "page"])
def test_killed_after_the_pointer_moved_in_an_object_store_the_promotion_stands(remote_registry, model, writes):
    kill = ("write", writes, True)
    process = fork.Process(target=_promote_remotely_and_die, args=(remote_registry.path, model("a"), *kill))
    process.start()
    process.join()
    assert process.exitcode == 9
    champion = remote_registry.champion()
    assert champion.model_id == model_id(model("a"))
    assert remote_registry.history() == [champion]
    second = promote(remote_registry, model("b"))
    assert remote_registry.history() == [champion, second]
    assert [version.number for version in remote_registry.lineage()] == [1, 2]
    assert b"Version 2 is champion" in remote_registry.backend.read("index.html").content


def _media_type(uri: str, name: str) -> str:
    bucket, _, prefix = uri.partition("://")[2].partition("/")
    if uri.startswith("gs://"):
        from google.cloud import storage

        return storage.Client().bucket(bucket).get_blob(f"{prefix}/{name}").content_type
    import boto3

    return boto3.client("s3").head_object(Bucket=bucket, Key=f"{prefix}/{name}")["ContentType"]


def test_a_browser_shows_the_page_in_a_bucket_as_a_page(remote_registry, model):
    promote(remote_registry, model("a"))
    assert _media_type(remote_registry.path, "index.html").startswith("text/html")
    assert _media_type(remote_registry.path, "versions/1/card.md").startswith("text/markdown")


@pytest.mark.parametrize("remote_registry", ["gs"], indirect=True)
def test_a_page_that_was_overtaken_by_another_promotion_is_written_again(remote_registry, model, monkeypatch):
    real, rivals = remote_registry.backend.write_text, [model("b")]

    def overtaken(name, text):
        if name == "index.html" and rivals:
            promote(Registry(remote_registry.path), rivals.pop())
        real(name, text)

    monkeypatch.setattr(remote_registry.backend, "write_text", overtaken)
    promote(remote_registry, model("a"))
    assert b"Version 2 is champion" in remote_registry.backend.read("index.html").content


def _before_the_pointer_moves(registry, monkeypatch, act):
    """Lets `act` happen once between the reading of the pointer and its move."""
    real, acts = registry.backend.write, [act]

    def overtaken(name, content, over):
        if name == POINTER and acts:
            acts.pop()()
        return real(name, content, over=over)

    monkeypatch.setattr(registry.backend, "write", overtaken)


def test_a_promotion_that_is_overtaken_is_stale_and_leaves_no_version(remote_registry, model, monkeypatch):
    first = promote(remote_registry, model("a"))
    rival = Registry(remote_registry.path)
    _before_the_pointer_moves(remote_registry, monkeypatch, lambda: promote(rival, model("rival")))
    with pytest.raises(StaleBlessingError, match="is champion now"):
        promote(remote_registry, model("b"))
    champion = rival.verify()
    assert champion.model_id == model_id(model("rival"))
    assert rival.history() == [first, champion]
    assert versions(rival) == {"1", str(champion.version)}


def test_a_promotion_that_is_overtaken_by_one_of_the_same_model_is_that_one(remote_registry, model, monkeypatch):
    first = promote(remote_registry, model("a"))
    rival = Registry(remote_registry.path)
    blessing = {"perplexity": 100.0, "split": "valid", "compared_with": first.model_id}
    _before_the_pointer_moves(
        remote_registry, monkeypatch, lambda: rival.promote(model("b"), evaluation="another", **blessing)
    )
    champion = remote_registry.promote(model("b"), evaluation="this", **blessing)
    assert champion.evaluation == "another"
    assert rival.history() == [first, champion]
    assert versions(rival) == {"1", str(champion.version)}


def test_a_rollback_that_is_overtaken_is_refused_and_undoes_nothing(remote_registry, model, monkeypatch):
    for name in "ab":
        promote(remote_registry, model(name))
    rival = Registry(remote_registry.path)
    _before_the_pointer_moves(remote_registry, monkeypatch, lambda: promote(rival, model("rival")))
    with pytest.raises(StaleBlessingError, match="version 2 was replaced"):
        remote_registry.rollback()
    assert rival.champion().model_id == model_id(model("rival"))
    assert len(rival.history()) == 3
