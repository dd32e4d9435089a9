"""`hopline models` in this process."""

import errno
import json
import shutil
from pathlib import Path

import pytest

from hopline.registry.registry import Registry
from hopline.store import folders
from pipelines.cli import main
from tests.registries import make_model, overwrite, promote

ACTIONS = ("list", "show", "diff", "rollback", "verify", "prune")
OLD = Path(__file__).parents[1] / "fixtures" / "registry-659d004" / "registry"


@pytest.fixture
def registry(tmp_path):
    """Three versions in the output folder `out`."""
    registry = Registry(tmp_path / "out" / "registry")
    for name in "abc":
        make_model(tmp_path / name, name)
        promote(registry, tmp_path / name)
    return registry


@pytest.fixture
def models(tmp_path, capsys, registry):
    """Runs the command on the output folder; returns code, output and errors."""

    def run(*arguments, place=("--output", str(tmp_path / "out"))):
        code = main(["models", *arguments, *place])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def at_a_terminal(monkeypatch):
    """Makes someone at a terminal give the answer to the next question; returns what was asked."""

    def answer(text):
        asked = []
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or text)
        return asked

    return answer


def test_the_help_shows_an_example_of_each_action(capsys):
    with pytest.raises(SystemExit):
        main(["models", "--help"])
    text = capsys.readouterr().out
    for action in ACTIONS:
        assert f"\n  hopline models {action}" in text


def test_list_shows_the_versions_newest_first_and_who_was_champion_when(models, registry):
    registry.rollback()
    code, text, _ = models("list")
    lines = [line.split() for line in text.splitlines()]
    assert code == 0
    assert [line[:2] for line in lines[1:4]] == [["3", "kept"], ["2", "champion"], ["1", "predecessor"]]
    assert [(line[0], line[-1]) for line in lines[6:]] == [
        ("2", "rollback"), ("3", "promotion"), ("2", "promotion"), ("1", "promotion"),
    ]  # fmt: skip


def test_list_as_json_says_the_same(models, registry):
    registry.rollback()
    code, text, _ = models("list", "-o", "json")
    found = json.loads(text)
    assert code == 0
    assert [(item["version"], item["state"]) for item in found] == [(3, "kept"), (2, "champion"), (1, "predecessor")]
    assert [reign["by"] for reign in found[1]["champion"]] == ["promotion", "rollback"]
    assert found[1]["champion"][1]["until"] is None
    assert found[0]["model_id"] == registry.history()[2].model_id


def test_show_prints_the_card_of_the_champion_or_of_the_version_that_is_named(models, registry):
    assert "# Version 3:" in models("show")[1]
    assert "# Version 3:" in models("show", "champion")[1]
    code, text, _ = models("show", "1")
    assert code == 0
    assert "# Version 1:" in text
    assert "not the champion: kept" in text
    content = json.loads(models("show", "1", "-o", "json")[1])
    assert content["place"] == registry.location(1)
    assert content["card"]["data"]["fingerprint"] == "corpus of a"


def test_diff_says_what_differs_in_data_configuration_code_and_numbers(models):
    code, text, _ = models("diff", "1", "champion")
    assert code == 0
    assert "fingerprint  corpus of a  corpus of c" in text
    assert "configuration:\n  equal" in text
    found = json.loads(models("diff", "1", "3", "-o", "json")[1])
    assert list(found["differences"]) == ["data", "configuration", "code", "numbers"]
    assert found["differences"]["data"] == [{"key": "fingerprint", "a": "corpus of a", "b": "corpus of c"}]
    assert found["differences"]["numbers"] == []


def test_rollback_says_what_it_does_and_does_it_when_told_not_to_ask(models, registry):
    code, text, _ = models("rollback", "--yes")
    assert code == 0
    assert text.index("from: version 3") < text.index("to:   version 2") < text.index("version 2 is champion")
    assert "hopline schedule pause" in text
    assert registry.champion().version == 2


@pytest.mark.parametrize(("answer", "champion"), [("y", 2), ("yes", 2), ("", 3), ("n", 3), ("yessir", 3)])
def test_rollback_asks(models, registry, at_a_terminal, answer, champion):
    asked = at_a_terminal(answer)
    assert models("rollback")[0] == (0 if champion == 2 else 2)
    assert asked == ["make version 2 champion again? [y/N] "]
    assert registry.champion().version == champion


@pytest.mark.parametrize("arguments", [("rollback",), ("prune", "--keep", "1")])
def test_without_a_terminal_nothing_is_changed_unless_told(models, registry, arguments, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    before = registry.lineage()
    code, _, errors = models(*arguments)
    assert code == 2
    assert "remedy:  give --yes" in errors
    assert registry.lineage() == before


def test_a_champion_that_changes_while_a_person_thinks_is_not_rolled_back(models, registry, tmp_path, monkeypatch):
    def think(question):
        make_model(tmp_path / "d", "d")
        promote(registry, tmp_path / "d")
        return "y"

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", think)
    assert models("rollback")[0] == 4
    assert registry.champion().version == 4


def test_verify_finds_damage_and_mends_what_is_missing(models, registry):
    assert models("verify")[0] == 0
    overwrite(registry, "history/3.json", None)
    code, text, _ = models("verify")
    assert code == 0
    assert "mended:  history/3.json" in text
    overwrite(registry, "versions/1/saved_model/weights", b"torn")
    code, text, _ = models("verify", "-o", "json")
    assert code == 2
    assert [item["name"] for item in json.loads(text) if item["state"] == "damaged"] == ["versions/1"]


@pytest.mark.parametrize("content", [None, b'{"version": 3, "mod'], ids=["lost", "truncated"])
def test_a_pointer_that_is_lost_or_damaged_names_the_remedy_that_works(models, registry, content):
    overwrite(registry, "champion.json", content)
    for action in (["list"], ["show"], ["rollback", "--yes"], ["prune", "--keep", "1", "--yes"]):
        code, _, errors = models(*action)
        assert code == 2
        assert f"`hopline models verify --repair --registry {registry.path}`" in errors
    assert models("verify")[0] == 2
    assert models("verify", "--repair")[0] == 0
    assert registry.champion().version == 3


def test_prune_removes_what_it_says(models, registry, at_a_terminal):
    asked = at_a_terminal("y")
    code, text, _ = models("prune", "--keep", "1")
    assert (code, len(asked)) == (0, 1)
    assert "removes: version 1" in text
    assert [version.state for version in registry.lineage()] == ["removed", "predecessor", "champion"]
    code, text, _ = models("prune", "--keep", "1")
    assert (code, text) == (0, "nothing to remove\n")
    assert "corpus of a" in models("show", "1")[1]


@pytest.mark.parametrize(
    "action",
    [["list"], ["show"], ["diff", "1", "2"], ["rollback", "--yes"], ["verify"], ["prune", "--keep", "2", "--yes"]],
)
def test_where_nothing_was_promoted_that_is_said_and_nothing_is_made(models, tmp_path, action):
    for place in ("--output", "--registry"):
        code, _, errors = models(*action, place=(place, str(tmp_path / "nowhere")))
        assert code == 2
        assert "holds no champion" in errors
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("action", [["show", "7"], ["diff", "1", "7"], ["diff", "latest", "1"]])
def test_a_version_that_is_not_there_is_named_with_those_that_are(models, action):
    code, _, errors = models(*action)
    assert code == 2
    assert "name one of 1, 2, 3, or champion" in errors


def test_a_registry_of_a_newer_hopline_is_left_alone(models, registry):
    content = {**json.loads(registry.backend.read("champion.json").content), "schema_version": 9}
    overwrite(registry, "champion.json", json.dumps(content).encode())
    for action in (["list"], ["show"], ["rollback", "--yes"], ["verify"], ["prune", "--keep", "1", "--yes"]):
        code, text, errors = models(*action)
        assert code == 2
        assert "schema version 9, of a newer hopline" in text + errors
    assert json.loads(registry.backend.read("champion.json").content) == content


@pytest.mark.parametrize("action", [["rollback", "--yes"], ["prune", "--keep", "1", "--yes"]])
def test_a_registry_that_cannot_be_written_is_not_changed_by_half(models, registry, action, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    before = sorted(path for path in registry.path.rglob("*"))
    monkeypatch.setattr(Path, "touch", refuse)
    code, _, errors = models(*action)
    assert code == 2
    assert f"the registry {registry.path} cannot be written: Permission denied" in errors
    assert sorted(path for path in registry.path.rglob("*")) == before


def test_the_first_version_has_nothing_to_roll_back_to(models, registry):
    assert [models("rollback", "--yes")[0] for _ in range(3)] == [0, 0, 2]
    assert registry.champion().version == 1


def test_a_registry_of_659d004_is_shown_and_rolled_back_to(models, tmp_path):
    shutil.copytree(OLD, tmp_path / "old")
    make_model(tmp_path / "new", "new")
    promote(Registry(tmp_path / "old"), tmp_path / "new")
    place = ("--registry", str(tmp_path / "old"))
    assert "28.17 on test" in models("list", place=place)[1]
    assert "model.width" in models("show", "1", place=place)[1]
    assert "model.width" in models("diff", "1", "2", place=place)[1]
    assert models("verify", place=place)[0] == 0
    assert models("rollback", "--yes", place=place)[0] == 0
    assert Registry(tmp_path / "old").champion().version == 1


def test_a_registry_in_a_bucket_is_listed_rolled_back_and_verified(models, remote_place, tmp_path):
    registry = Registry(f"{remote_place}/registry")
    for name in "ab":
        promote(registry, tmp_path / name)
    place = ("--registry", f"{remote_place}/registry")
    assert models("rollback", "--yes", place=place)[0] == 0
    assert [item["state"] for item in json.loads(models("list", "-o", "json", place=place)[1])] == ["kept", "champion"]
    assert models("verify", place=place)[0] == 0


def test_a_registry_that_may_only_be_read_is_shown_and_left_as_it_is(models, registry, monkeypatch):
    def refused(path):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(folders, "locked", refused)  # root, who runs tests, may write wherever it is not mounted so
    assert models("list")[0] == 0
    code, _, errors = models("rollback", "--yes")
    assert code == 2
    assert "Read-only file system" in errors
    assert registry.champion().version == 3
