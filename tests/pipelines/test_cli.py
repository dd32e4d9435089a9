"""The `hopline` command in this process: arguments, help, errors."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from hopline.runtime.version import VERSION
from pipelines.cli import main
from pipelines.config.config import Config


@pytest.mark.parametrize("command", [[], ["run"], ["compare"], ["submit"], ["compile"], ["doctor"], ["clean"]])
def test_every_help_shows_an_example_and_the_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert " ".join(["\n  hopline", *command]) in text
    assert "exit codes:" in text


@pytest.mark.parametrize("action", ["list", "show", "logs", "terminate"])
def test_the_help_of_runs_shows_an_example_of_each_action(action, capsys):
    with pytest.raises(SystemExit) as left:
        main(["runs", "--help"])
    assert left.value.code == 0
    assert f"\n  hopline runs {action}" in capsys.readouterr().out


def test_help_imports_neither_kfp_nor_rich():
    code = (
        "import sys, pipelines.cli as cli; cli.arguments(); print(sorted({'kfp', 'rich', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_reader_that_has_enough_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pipelines.cli", "compile", "--output", str(tmp_path / "pipeline.yaml")]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_the_version_is_that_of_the_project(capsys):
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"hopline {project['version']}\n"
    assert project["version"] == VERSION


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--config", "nowhere.toml"], "nowhere.toml"),
        (["run", "--config", "config.toml", "--set", "train.epoch=3"], 'did you mean "train.epochs"?'),
        (["run", "--config", "config.toml", "--workers", "0"], "train.workers is 0"),
        (["compile", "--output", "nowhere/pipeline.yaml"], "nowhere/pipeline.yaml"),
        (["compile", "--output", "."], "cannot be written"),
        (["clean", "--output", "nowhere"], "nowhere"),
    ],
)
def test_a_users_error_is_one_message_and_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text("")
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("error:")
    assert "remedy:" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "--conf", "config.toml"], ["compile"]])
def test_wrong_usage_has_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_compiled_defaults_are_those_of_the_configuration(tmp_path):
    (tmp_path / "config.toml").write_text("[model]\nhops = 2\n")
    target = tmp_path / "pipeline.yaml"
    settings = ["--config", str(tmp_path / "config.toml"), "--set", "train.epochs=7"]
    assert main(["compile", *settings, "--output", str(target)]) == 0
    pipeline, _ = yaml.safe_load_all(target.read_text())
    inputs = pipeline["root"]["inputDefinitions"]["parameters"]
    config = Config.load(tmp_path / "config.toml", ["train.epochs=7"])
    assert inputs["model"]["defaultValue"] == config.model.to_json()
    assert inputs["train"]["defaultValue"] == config.train.to_json()


def test_a_failed_compilation_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "pipeline.yaml"
    target.write_text("old")
    assert main(["compile", "--set", "model.hops=0", "--output", str(target)]) == 2
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
