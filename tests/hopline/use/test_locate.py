import json

import pytest

from hopline.registry.registry import Registry
from hopline.runtime.errors import UserError
from hopline.use.locate import locate
from tests.registries import make_model, promote


@pytest.fixture
def output(tmp_path):
    """An output with two versions, of which the second is champion."""
    registry = Registry(tmp_path / "output" / "registry")
    for name in ("first", "second"):
        make_model(tmp_path / name, weights=name)
        promote(registry, tmp_path / name)
    return tmp_path / "output"


def weights(located):
    return (located.folder / "saved_model" / "weights").read_text()


def test_an_output_and_its_registry_give_the_champion_or_the_version_asked_for(output):
    for place in (output, output / "registry", str(output)):
        assert weights(locate(place)) == "second"
        assert locate(place).version == 2
        assert weights(locate(place, 1)) == "first"


def test_a_rollback_changes_which_model_is_found(output):
    Registry(output / "registry").rollback()
    assert weights(locate(output)) == "first"


def test_a_model_folder_is_a_model_without_a_version(tmp_path, output):
    found = locate(tmp_path / "first")
    assert (weights(found), found.version) == ("first", None)
    with pytest.raises(UserError, match="has no version 1"):
        locate(tmp_path / "first", 1)


def test_what_is_not_there_is_said_with_what_is(tmp_path, output):
    with pytest.raises(UserError, match=r"no version 7: its versions are 1, 2"):
        locate(output, 7)
    with pytest.raises(UserError, match="does not exist"):
        locate(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no champion"):
        locate(tmp_path / "empty")


def test_a_model_of_a_newer_hopline_is_refused_by_its_schema_version(output):
    path = output / "registry" / "versions" / "2" / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "schema_version": 99, "something": "new"}))
    with pytest.raises(UserError, match="99"):
        locate(output)


def test_a_model_in_an_object_store_is_copied_once(tmp_path, remote_place, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    registry = Registry(f"{remote_place}/registry")
    make_model(tmp_path / "first", weights="first")
    promote(registry, tmp_path / "first")
    found = locate(remote_place)
    assert weights(found) == "first"
    assert found.place == f"{remote_place}/registry/versions/1"
    before = (found.folder / "manifest.json").stat().st_ino
    assert locate(f"{remote_place}/registry", 1).folder == found.folder
    assert (found.folder / "manifest.json").stat().st_ino == before
