"""What is served follows the champion, whatever happens on the way."""

import dataclasses
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from components.follow.follower import Follower
from components.follow.server import Server
from hopline import artifacts
from hopline.registry.registry import Registry
from hopline.runtime.errors import HoplineError, InternalError, UserError
from hopline.store import folders, objects
from tests.registries import overwrite, promote

fork = multiprocessing.get_context("fork")


def test_promotions_and_a_rollback_are_followed_and_no_request_is_dropped(registry, pod, model):
    assert "no champion" in pod.follower(registry).turn()
    promote(registry, model("a"))
    served = [pod.follow(registry)]
    pod.serving.answered.clear()
    promote(registry, model("b"))
    served.append(pod.follow(registry))
    registry.rollback()
    served.append(pod.follow(registry))
    promote(registry, model("c"))
    served.append(pod.follow(registry))
    assert [*dict.fromkeys(pod.serving.answered)] == [*dict.fromkeys(served)]
    by_label = [*dict.fromkeys(pod.serving.answered_by_label)]
    assert None not in by_label
    assert pod.serving.labels == {"champion": served[-1]}
    assert pod.serving.ready == {served[-1]: "c"}
    assert [path.name for path in pod.models.iterdir()] == [str(served[-1])]
    assert list(pod.work.iterdir()) == []


def test_a_version_that_the_server_cannot_load_leaves_the_one_before_it_in_service(local_registry, pod, model):
    promote(local_registry, model("a"))
    first = pod.follow(local_registry)
    second = promote(local_registry, model("b")).version
    pod.serving.broken.add(second)
    follower = pod.follower(local_registry)
    pod.until(lambda: "state END no such op" in follower.turn())
    assert follower.versions() == {first, second}
    assert pod.serving.ready.keys() == {first}
    local_registry.rollback()
    assert pod.follow(local_registry) == first


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1/models/hopline", "{url}/labels/unknown"])
def test_while_the_server_does_not_say_what_it_serves_the_old_version_stays(url, local_registry, pod, model):
    promote(local_registry, model("a"))
    pod.follow(local_registry)
    promote(local_registry, model("b"))
    follower = pod.follower(local_registry, Server(url.format(url=pod.serving.url)))
    assert "does not say" in follower.turn()
    assert follower.versions() == {1, 2}


def test_a_damaged_version_is_never_served(registry, pod, model):
    promote(registry, model("a"))
    first = pod.follow(registry)
    second = promote(registry, model("b")).version
    overwrite(registry, f"versions/{second}/saved_model/weights", b"torn")
    with pytest.raises(HoplineError):
        pod.follower(registry).turn()
    assert pod.follower(registry).versions() == {first}
    registry.rollback()
    assert pod.follow(registry) == first


def test_while_the_store_is_away_what_is_served_stays(mortal, pod, model, monkeypatch):
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 0.5)
    registry = Registry(f"{mortal.scheme}://bucket/registry")
    promote(registry, model("a"))
    pod.follow(registry)
    promote(registry, model("b"))
    mortal.kill()
    with pytest.raises(InternalError):
        pod.follower(registry).turn()
    assert pod.serving.ready.keys() == {1}


def test_a_pointer_that_names_another_model_than_its_version_holds_is_refused(local_registry, pod, model):
    champion = promote(local_registry, model("a"))
    forged = dataclasses.replace(champion, model_id="0" * 64)
    overwrite(local_registry, "champion.json", folders.json_text(dataclasses.asdict(forged)).encode())
    with pytest.raises(UserError):
        pod.follower(local_registry).turn()
    assert pod.follower(local_registry).versions() == set()


def test_a_registry_made_anew_does_not_pass_for_the_one_that_is_served(local_registry, pod, model):
    promote(local_registry, model("a"))
    pod.follow(local_registry)
    shutil.rmtree(local_registry.path)
    promote(local_registry, model("b"))
    with pytest.raises(UserError) as caught:
        pod.follower(local_registry).turn()
    assert "restart the pod" in caught.value.remedy


def whole(folder):
    """Whether a version in the server's folder has all files of its SavedModel."""
    manifest = artifacts.read_manifest(folder, "model")
    names = [name.removeprefix("saved_model/") for name in manifest.files if name.startswith("saved_model/")]
    return bool(names) and all((folder / name).is_file() for name in names)


class Instant:
    """A server that answers at once from what is whole."""

    def __init__(self, models):
        self.models = models

    def obstacle(self, version):
        return "" if whole(self.models / str(version)) else "it is torn"


CHANGES = [(Path, "rename"), (Path, "mkdir"), (os, "link"), (os, "fsync"), (os, "unlink"), (os, "rmdir")]


def turn_until(fatal, follower):
    """In a process of its own: a turn that is killed at the `fatal`-th change of the disk."""
    count = 0

    def deadly(change):
        def counted(*arguments, **options):
            nonlocal count
            count += 1
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **options)

        return counted

    for owner, name in CHANGES:
        setattr(owner, name, deadly(getattr(owner, name)))
    follower.turn()


def test_killed_at_any_change_of_the_disk_it_serves_what_it_served_and_goes_on(local_registry, tmp_path, model):
    models, work = tmp_path / "hopline", tmp_path / ".work"
    models.mkdir()
    work.mkdir()
    follower = Follower(local_registry, models, work, Instant(models))
    promote(local_registry, model("0"))
    follower.turn()
    for fatal in range(1, 100):
        promote(local_registry, model(str(fatal)))
        child = fork.Process(target=turn_until, args=(fatal, follower))
        child.start()
        child.join(60)
        left = follower.versions()
        assert left
        assert all(whole(models / str(version)) for version in left)
        assert child.exitcode in {0, -signal.SIGKILL}
        follower.turn()
        assert [path.name for path in models.iterdir()] == [str(local_registry.champion().version)]
        if child.exitcode == 0:
            break
    assert 12 < fatal < 99
