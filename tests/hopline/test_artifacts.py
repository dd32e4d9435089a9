"""Directories with a manifest: whole or not at all, found again, damaged ones refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hopline import artifacts
from hopline.artifacts import canonical_json, code_digest, content_key, produce, seal
from hopline.runtime.errors import UserError
from hopline.schema import MANIFEST

DYING_BUILD = """
import os, signal, sys
from pathlib import Path
from hopline.artifacts import produce
def build(scratch, result):
    (scratch / "checkpoint").write_text("step 5")
    (result / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
produce(Path(sys.argv[1]), Path(sys.argv[2]), "train", "model", "key", build)
"""


def make(folder: Path, kind: str = "model", text: str = "content", **more: object) -> artifacts.Manifest:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text(text)
    return seal(folder, kind, parents={"examples": "e"}, config={"a": 1}, **more)


def build(text: str = "content"):
    """A builder for `produce`, which counts its calls."""

    def run(scratch: Path, result: Path) -> None:
        run.calls += 1
        make(result, text=text)

    run.calls = 0
    return run


def test_a_sealed_artifact_is_verified(tmp_path):
    sealed = make(tmp_path / "a", counts={"train": {"tokens": 3}}, facts={"perplexity": 1.5})
    assert artifacts.verify(tmp_path / "a", "model") == sealed
    assert sealed.files.keys() == {"inner/file"}


def test_the_id_depends_on_the_content_and_not_on_time_or_place(tmp_path, monkeypatch):
    first = make(tmp_path / "a")
    second = make(tmp_path / "elsewhere" / "b")
    assert first.id == second.id
    assert make(tmp_path / "c", text="other").id != first.id
    assert make(tmp_path / "d", facts={"x": 1}).id != first.id


@pytest.mark.parametrize("damage", ["change", "remove", "truncate the manifest", "remove the manifest"])
def test_a_damaged_artifact_is_refused_by_name(tmp_path, damage):
    make(tmp_path / "a")
    file, manifest = tmp_path / "a" / "inner" / "file", tmp_path / "a" / MANIFEST
    if damage == "change":
        file.write_text("contenT")
    elif damage == "remove":
        file.unlink()
    elif damage == "truncate the manifest":
        manifest.write_text(manifest.read_text()[:50])
    else:
        manifest.unlink()
    with pytest.raises(UserError) as caught:
        artifacts.verify(tmp_path / "a", "model")
    assert str(tmp_path / "a") in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"kind": "model"}'])
def test_json_that_is_no_manifest_is_refused(tmp_path, content):
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(UserError, match="missing or damaged"):
        artifacts.read_manifest(tmp_path, "model")


def test_an_artifact_of_another_kind_is_refused(tmp_path):
    make(tmp_path / "a", kind="examples")
    with pytest.raises(UserError, match="holds examples, but model is needed"):
        artifacts.read_manifest(tmp_path / "a", "model")


def rewrite(folder, **changes):
    """Replaces fields of the folder's manifest."""
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))


@pytest.mark.parametrize("changes", [{}, {"files": "in another form", "kind": ["model"], "layout": {}}])
def test_an_artifact_of_a_newer_hopline_is_refused_with_both_versions_whatever_its_form(tmp_path, changes):
    make(tmp_path / "a")
    newer = artifacts.SCHEMA_VERSION + 1
    rewrite(tmp_path / "a", schema_version=newer, versions={"hopline": "7.0.0"}, **changes)
    with pytest.raises(UserError) as caught:
        artifacts.read_manifest(tmp_path / "a", "model")
    assert f"schema version {newer}, of a newer hopline (7.0.0)" in caught.value.message
    assert f"up to {artifacts.SCHEMA_VERSION}" in caught.value.message


def test_a_field_that_this_hopline_does_not_know_is_no_obstacle(tmp_path):
    manifest = make(tmp_path / "a")
    rewrite(tmp_path / "a", mood="cheerful")
    assert artifacts.verify(tmp_path / "a", "model") == manifest


@pytest.mark.parametrize("changes", [{"files": []}, {"id": 3}, {"schema_version": "1"}, {"facts": None}])
def test_a_field_of_the_wrong_type_is_damage(tmp_path, changes):
    make(tmp_path / "a")
    rewrite(tmp_path / "a", **changes)
    with pytest.raises(UserError, match=f"missing or damaged .*{next(iter(changes))} is"):
        artifacts.read_manifest(tmp_path / "a", "model")


def test_a_result_is_built_once_and_then_found(tmp_path):
    builder = build()
    first, was_found = produce(tmp_path / "1" / "out", tmp_path / "work", "train", "model", "key", builder)
    assert not was_found
    second, was_found = produce(tmp_path / "2" / "out", tmp_path / "work", "train", "model", "key", builder)
    assert was_found
    assert (first.id, builder.calls) == (second.id, 1)
    artifacts.verify(tmp_path / "2" / "out", "model")


def test_another_key_is_another_result(tmp_path):
    builder = build()
    for key in ("a", "b"):
        assert not produce(tmp_path / key, tmp_path / "work", "train", "model", key, builder)[1]
    assert builder.calls == 2


def test_a_damaged_result_is_built_anew(tmp_path):
    builder = build()
    produce(tmp_path / "out", tmp_path / "work", "train", "model", "key", builder)
    (tmp_path / "work" / "train" / "key" / "result" / "inner" / "file").write_text("spoilt")
    produce(tmp_path / "out", tmp_path / "work", "train", "model", "key", builder)
    assert builder.calls == 2
    artifacts.verify(tmp_path / "out", "model")


def test_a_killed_build_is_found_where_it_was(tmp_path):
    command = [sys.executable, "-c", DYING_BUILD, str(tmp_path / "out"), str(tmp_path / "work")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()

    def resume(scratch: Path, result: Path) -> None:
        assert (scratch / "checkpoint").read_text() == "step 5"
        make(result)

    assert not produce(tmp_path / "out", tmp_path / "work", "train", "model", "key", resume)[1]
    slot = tmp_path / "work" / "train" / "key"
    assert sorted(path.name for path in slot.iterdir()) == ["lock", "result"]


def test_a_build_that_fails_keeps_its_work_and_gives_no_result(tmp_path):
    def fail(scratch: Path, result: Path) -> None:
        (scratch / "checkpoint").touch()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        produce(tmp_path / "out", tmp_path / "work", "train", "model", "key", fail)
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "work" / "train" / "key" / "scratch" / "checkpoint").exists()


def test_a_build_of_the_wrong_kind_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds model, but examples is needed"):
        produce(tmp_path / "out", tmp_path / "work", "train", "examples", "key", build())


def test_only_the_latest_results_are_kept(tmp_path):
    keys = [f"key{number}" for number in range(artifacts.KEPT_RESULTS + 2)]
    for at, key in enumerate(keys):
        produce(tmp_path / "out", tmp_path / "work", "train", "model", key, build())
        os.utime(tmp_path / "work" / "train" / key, (at, at))
    kept = {path.name for path in (tmp_path / "work" / "train").iterdir()}
    assert len(kept) == artifacts.KEPT_RESULTS
    assert keys[-1] in kept


def test_a_key_depends_on_every_input_and_not_on_their_order():
    assert content_key(a=1, b={"c": 2, "d": 3}) == content_key(b={"d": 3, "c": 2}, a=1)
    assert content_key(a=1) != content_key(a=2)
    assert content_key(a=1) != content_key(b=1)


def test_the_digest_of_code_changes_with_any_source(tmp_path, monkeypatch):
    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    first = code_digest("some_package")
    assert first == code_digest("some_package")
    (package / "more.py").write_text("a = 1\n")
    assert first != code_digest("some_package")


def test_a_package_that_is_not_there_has_no_digest():
    with pytest.raises(ValueError, match="no_such_package"):
        code_digest("no_such_package")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_finite_numbers_only(value):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": value})
