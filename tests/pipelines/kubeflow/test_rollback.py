"""`hopline models rollback` names the schedules that would promote again."""

import pytest

from hopline.registry.registry import Registry
from pipelines.cli import main
from pipelines.kubeflow import connection
from tests.pipelines.kubeflow.server import failing
from tests.registries import make_model, promote


@pytest.fixture
def registry(bucket, tmp_path):
    registry = Registry(f"{bucket('gs')}/registry")
    for name in "ab":
        make_model(tmp_path / name, name)
        promote(registry, tmp_path / name)
    return registry


@pytest.fixture
def schedule(server, tmp_path, capsys):
    """Gives the server a schedule for a registry."""

    def make(name, place):
        text = f'[schedule]\ndisplay_name = "{name}"\ncron = "0 0 3 * * *"\n\n[cluster]\nregistry = "{place}"\n'
        (tmp_path / "retrain.toml").write_text(text)
        assert main(["schedule", "apply", "--config", str(tmp_path / "retrain.toml"), "--host", server.url]) == 0
        capsys.readouterr()

    return make


def test_the_schedules_that_fire_and_promote_to_this_registry_are_named(server, registry, schedule, capsys):
    schedule("nightly", registry.path)
    schedule("weekly", registry.path)
    schedule("elsewhere", "s3://models/elsewhere")
    assert main(["schedule", "pause", "weekly", "--host", server.url]) == 0
    capsys.readouterr()
    assert main(["models", "rollback", "--yes", "--registry", registry.path, "--host", server.url]) == 0
    said = capsys.readouterr().out
    assert "`hopline schedule pause nightly`" in said
    assert "weekly" not in said
    assert "elsewhere" not in said


def test_a_server_that_does_not_answer_holds_no_rollback_up(server, registry, monkeypatch, capsys):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.0)
    server.fault = failing(1000, (503, "away"))
    assert main(["models", "rollback", "--yes", "--registry", registry.path, "--host", server.url]) == 0
    assert registry.champion().version == 1
    assert "does not say which schedules" in capsys.readouterr().err
