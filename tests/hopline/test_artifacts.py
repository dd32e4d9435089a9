"""Directories with a manifest: whole or not at all, found again, damaged ones refused."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hopline import artifacts
from hopline.artifacts import canonical_json, code_digest, content_key, produce, seal
from hopline.runtime import code
from hopline.runtime.errors import UserError
from hopline.schema import MANIFEST
from hopline.store import folders

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


def test_a_page_is_checked_as_other_files_are_and_leaves_the_id_and_the_sealed_original_alone(tmp_path):
    sealed = make(tmp_path / "a", "examples")
    folders.place(tmp_path / "a", tmp_path / "copy")
    paged = artifacts.add_page(tmp_path / "copy", "examples", "report.html", "first")
    assert artifacts.add_page(tmp_path / "copy", "examples", "report.html", "second").id == paged.id == sealed.id
    assert artifacts.verify(tmp_path / "copy", "examples").files.keys() == {"inner/file", "report.html"}
    assert artifacts.verify(tmp_path / "a", "examples") == sealed
    (tmp_path / "copy" / "report.html").write_text("other")
    with pytest.raises(UserError, match=r"report\.html differs"):
        artifacts.verify(tmp_path / "copy", "examples")


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


def finish(work, key, at):
    produce(work / "out", work, "train", "model", key, build())
    os.utime(work / "train" / key, (at, at))


def leave_unfinished(work, key, at):
    """What a run that was killed leaves: a checkpoint."""

    def fail(scratch: Path, result: Path) -> None:
        (scratch / "checkpoint").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        produce(work / "out", work, "train", "model", key, fail)
    for path in (work / "train" / key / "scratch", work / "train" / key):
        os.utime(path, (at, at))


def kept(work):
    return {path.name for path in (work / "train").iterdir()}


def test_only_the_latest_results_are_kept(tmp_path):
    keys = [f"key{number}" for number in range(artifacts.KEPT_RESULTS + 2)]
    for at, key in enumerate(keys):
        finish(tmp_path, key, at)
    assert kept(tmp_path) == set(keys[2:])


@pytest.mark.parametrize("other", [finish, leave_unfinished])
def test_a_killed_run_is_found_again_after_eight_other_keys(tmp_path, other):
    leave_unfinished(tmp_path, "killed", 0)
    for at in range(1, 9):
        other(tmp_path, f"key{at}", at)
    finish(tmp_path, "last", 100)
    assert (tmp_path / "train" / "killed" / "scratch" / "checkpoint").exists()


def test_unfinished_work_gives_way_to_more_of_it_and_its_last_write_counts(tmp_path):
    keys = [f"key{number:02}" for number in range(artifacts.KEPT_UNFINISHED + 2)]
    for at, key in enumerate(keys):
        leave_unfinished(tmp_path, key, at)
    (tmp_path / "train" / "key00" / "scratch" / "newer").mkdir()  # a long run that was begun first
    finish(tmp_path, "done", 100)
    assert kept(tmp_path) == {"done", "key00", *keys[3:]}


def test_work_that_another_process_is_at_stays(tmp_path):
    for at in range(artifacts.KEPT_RESULTS):
        finish(tmp_path, f"key{at}", at)
    with folders.locked(tmp_path / "train" / "key0" / "lock"):
        finish(tmp_path, "last", 100)
    assert "key0" in kept(tmp_path)


def test_a_key_depends_on_every_input_and_not_on_their_order():
    assert content_key(a=1, b={"c": 2, "d": 3}) == content_key(b={"d": 3, "c": 2}, a=1)
    assert content_key(a=1) != content_key(a=2)
    assert content_key(a=1) != content_key(b=1)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of which `program` reaches `near`, inside a function, and through that `far`; not `other`."""
    folder = tmp_path / "some_package"
    (folder / "inner").mkdir(parents=True)
    sources = {
        "__init__": "", "program": "def run():\n    from some_package.inner import near\n    return near\n",
        "inner/__init__": "", "inner/near": "from .. import far\nimport numpy\n", "far": "A = 1\n", "other": "",
    }  # fmt: skip
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.mark.parametrize("module", ["program", "inner/near", "inner/__init__", "far", "__init__"])
def test_the_digest_of_a_program_changes_with_any_module_that_it_reaches(package, module):
    first = code_digest("some_package.program")
    assert first == code_digest("some_package.program")
    with (package / f"{module}.py").open("a") as source:
        source.write("more = 1\n")
    assert first != code_digest("some_package.program")


@pytest.mark.parametrize(("module", "addition"), [
    ("other", "more = 1"), ("far", "# a comment"),
])  # fmt: skip
def test_neither_a_comment_nor_a_module_that_is_not_reached_changes_the_digest(package, module, addition):
    first = code_digest("some_package.program")
    with (package / f"{module}.py").open("a") as source:
        source.write(f"\n\n{addition}\n")
    assert first == code_digest("some_package.program")


def test_docstrings_and_layout_do_not_change_the_digest_and_other_strings_do(package):
    def digest(source):
        (package / "far.py").write_text(source)
        return code_digest("some_package.program")

    plain = digest("A = 1\nclass B:\n    def c(self):\n        return (1, 2)\n")
    told = '"""D"""\nA = 1\n\n\nclass B:\n    """E"""\n    def c(self):\n        """F"""\n        return (\n1,\n2)\n'
    assert digest(told) == plain
    assert digest(told.replace("return", "x = 'G'; return")) != plain


def test_another_version_of_a_library_changes_the_digest_and_one_that_is_not_asked_for_does_not(package, monkeypatch):
    versions = {"tensorflow": "2.21.0", "rich": "15.0.0"}

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    first = code_digest("some_package.program", libraries=artifacts.TENSORFLOW)
    versions["rich"] = "16.0.0"
    assert code_digest("some_package.program", libraries=artifacts.TENSORFLOW) == first
    versions["tensorflow"] = "2.22.0"
    assert code_digest("some_package.program", libraries=artifacts.TENSORFLOW) != first


@pytest.mark.parametrize("name", ["no_such_package", "some_package.no_such_module"])
@pytest.mark.usefixtures("package")
def test_a_program_that_is_not_there_has_no_digest(name):
    with pytest.raises(ValueError, match=name):
        code_digest(name)


@pytest.mark.parametrize(("programs", "reached", "not_reached"), [
    (("components.train.__main__", "components.train.worker"),
     {"components.train.loop.step", "components.train.report.export", "hopline.model.layers"},
     ("pipelines", "components.evaluate", "components.train.component", "hopline.corpus", "hopline.config.evaluate")),
    (("components.evaluate.__main__", "components.evaluate.score"), {"hopline.model.scoring"},
     ("pipelines", "components.train", "hopline.config.train")),
    (("components.preprocess.__main__",), {"components.preprocess.tokenise", "hopline.corpus.files"},
     ("pipelines", "components.train", "hopline.model.network", "hopline.config.train")),
])  # fmt: skip
def test_a_step_reaches_its_own_program_and_no_other_room(programs, reached, not_reached):
    found = code.closure(programs)
    assert reached < found.keys()
    assert not [name for name in found if name.startswith(not_reached)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_holds_finite_numbers_only(value):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": value})


def test_what_is_reported_says_in_words_what_json_has_no_number_for():
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": float("nan"), "d": (float("-inf"), float("inf"))}}
    found = artifacts.json_value(value)
    assert found == {"a": [1, 2.5, "x", None, True], "b": {"c": "nan", "d": ["-inf", "inf"]}}
    assert float(json.loads(canonical_json(found))["b"]["d"][1]) == float("inf")
