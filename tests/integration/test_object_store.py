"""`hopline run` with its output in an object store: a real server, every step of the pipeline."""

import pytest

from hopline.artifacts import verify
from hopline.registry.registry import Registry
from hopline.store.objects import Store
from hopline.store.trees import fetch_tree
from pipelines.output import open_output

pytestmark = [pytest.mark.slow, pytest.mark.multiprocess]
# What every Python process of the run imports first: it waits for the server no longer than a test may.
IMPATIENT = "import hopline.store.objects\n\nhopline.store.objects.PATIENCE_SECONDS = 1.0\n"


@pytest.fixture
def keep_in(project, tmp_path, monkeypatch):
    """Gives the project an output in the bucket, and little patience."""

    def keep(bucket):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
        (tmp_path / "impatient").mkdir()
        (tmp_path / "impatient" / "sitecustomize.py").write_text(IMPATIENT)
        project.path += f":{tmp_path / 'impatient'}"
        project.place = f"{bucket}/some/prefix"
        project.output = open_output(project.place).folder
        return project

    return keep


def runs(project):
    return sorted({entry.name.split("/")[0] for entry in Store(f"{project.place}/runs").entries()})


def test_from_a_corpus_in_a_store_killed_and_continued_everything_ends_in_the_store(keep_in, bucket, tmp_path):
    place = bucket("gs")
    project = keep_in(place)
    (project.folder / "train.txt").rename(tmp_path / "sent.txt")
    Store(f"{place}/texts").upload_file(tmp_path / "sent.txt", "train.txt")
    project.set(train=f"{place}/texts/*.txt")
    project.kill_at("cache/train/*/scratch/training/checkpoints/step-*")
    registry = Registry(f"{project.place}/registry")
    assert registry.champion() is None
    assert runs(project) == []

    first = project.run()
    assert first.code == 0, first.err
    assert "preprocess: found in cache" in first.out
    (run,) = runs(project)
    for kind in ("examples", "model", "evaluation"):
        fetch_tree(f"{project.place}/runs/{run}/{kind}", tmp_path / kind, "test")
    assert registry.verify().model_id == verify(tmp_path / "model", "model").id
    assert {entry.name for entry in Store(f"{project.place}/runs/{run}").entries() if "/" not in entry.name} == {
        "config.toml",
        "log.txt",
    }
    assert f"{project.place}/runs/{run}/evaluation/report.html" in first.out

    worse = project.run("--set", "train.max_steps=1")  # compared with the champion that lies in the store
    assert worse.code == 0, worse.err
    assert "rejected" in worse.out
    assert registry.champion().version == 1
    assert len(runs(project)) == 2
    assert project.runs == [], "what has arrived is not kept twice"


@pytest.mark.parametrize("mortal", ["gs"], indirect=True)  # the other server forgets what it held
def test_a_server_that_falls_ends_the_run_with_its_name_and_the_same_command_finishes(keep_in, mortal):
    project = keep_in("gs://bucket")
    process = project.start_until("cache/train/*/scratch")
    mortal.kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "gs://bucket/some/prefix/registry did not answer" in errors
    (failed,) = project.runs
    assert str(failed.relative_to(project.folder) / "log.txt") in errors

    mortal.start()
    ended = project.run()
    assert ended.code == 0, ended.err
    assert Registry(f"{project.place}/registry").champion().version == 1
    assert len(runs(project)) == 1
