"""The `hopline` command in this process: arguments, help, errors."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from hopline.runtime.errors import ExitCode
from hopline.runtime.version import VERSION
from hopline.schema import SPLITS
from pipelines.cli import main
from pipelines.config.config import Config


@pytest.mark.parametrize("command", [[], ["run"], ["compare"], ["submit"], ["compile"], ["doctor"], ["clean"]])
def test_every_help_shows_an_example_and_where_the_exit_codes_are(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert " ".join(["\n  hopline", *command]) in text
    assert "exit codes:" in text
    assert ("143" in text) == (not command)  # in one place, and not in the help of each command


def test_what_all_commands_have_in_common_is_said_in_one_place(capsys):
    assert main(["help", "exit-codes"]) == 0
    codes = capsys.readouterr().out
    assert all(f"  {int(code)} " in codes for code in ExitCode)
    assert main(["help", "server"]) == 0
    said = capsys.readouterr().out
    for option in ("--host", "--namespace", "--token-file", "--ca-file", "--kube-namespace"):
        assert option in said
    for command in (["submit"], ["runs", "list"], ["schedule", "apply"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        text = capsys.readouterr().out
        assert "hopline help server" in text
        assert "certificates to trust" not in text
        assert len(text.splitlines()) < 50


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(["rum"], "run"), (["schedule", "aply"], "apply"), (["doctor", "clutser"], "cluster"),
     (["run", "--config", "x", "--wokers", "3"], "--workers"), (["runs", "list", "--hots=x"], "--host")],
    ids=str,
)  # fmt: skip
def test_a_word_that_is_nearly_right_is_asked_about(arguments, meant, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == ExitCode.USER
    assert f'did you mean "{meant}"?' in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_is_told_all_commands_and_also_the_options_that_help_leaves_out(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("submit", "terminate", "--kube-namespace", "--token-file", "--dry-run"):
        assert word in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_a_configuration_to_begin_with_is_all_defaults_with_every_key_said(capsys, tmp_path):
    assert main(["config", "init"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "as-it-is.toml").write_text(text)
    assert Config.load(tmp_path / "as-it-is.toml") == Config()
    lines = [line.removeprefix("# ") for line in text.splitlines() if " = " in line or not line.startswith("#")]
    keys = [line for line in lines if re.match(r"\w+ = ", line)]
    assert len(keys) == sum(len(values) for values in Config().to_dict().values())
    (tmp_path / "uncommented.toml").write_text("\n".join(lines))
    assert Config.load(tmp_path / "uncommented.toml") == Config()


def test_a_configuration_to_begin_with_replaces_nothing(tmp_path, capsys):
    path = tmp_path / "my.toml"
    assert main(["config", "init", "--output", str(path)]) == 0
    path.write_text("mine")
    assert main(["config", "init", "--output", str(path)]) == ExitCode.USER
    assert path.read_text() == "mine"
    assert main(["config", "init", "--output", str(tmp_path / "nowhere" / "my.toml")]) == ExitCode.USER


def test_a_key_is_explained_by_its_declaration_with_its_value_and_its_default(capsys):
    assert main(["config", "explain", "cluster.launcher_memory", "--set", "cluster.launcher_memory=9Gi"]) == 0
    said = capsys.readouterr().out
    assert 'cluster.launcher_memory = "9Gi"' in said
    assert 'the default is "4Gi"' in said
    assert "never more" in said
    assert main(["config", "explain", "job"]) == 0
    said = capsys.readouterr().out
    assert all(f"job.{key} = " in said for key in Config().job.to_dict())
    assert main(["config", "explain", "train.epoch"]) == ExitCode.USER
    assert 'did you mean "train.epochs"?' in capsys.readouterr().err


def test_a_configuration_is_shown_as_one_that_comes_to_the_same(capsys, tmp_path):
    overrides = ["--set", "train.epochs=3", "--set", 'job.tolerations=["a=b:NoSchedule"]', "--set", "cluster.tag=12"]
    assert main(["config", "show", *overrides]) == 0
    (tmp_path / "shown.toml").write_text(capsys.readouterr().out)
    assert Config.load(tmp_path / "shown.toml") == Config.load(None, overrides[1::2])
    assert main(["config", "show", "--changed", "-o", "json", *overrides]) == 0
    changed = {"train": {"epochs": 3}, "job": {"tolerations": ["a=b:NoSchedule"]}, "cluster": {"tag": "12"}}
    assert json.loads(capsys.readouterr().out) == changed


TEXTS = "the cat sat .\nthe dog ran .\n"


@pytest.fixture
def corpus(tmp_path):
    """A configuration of a small corpus, and the folder that a run would fill."""
    (tmp_path / "texts").mkdir()
    for name in "abc":
        (tmp_path / "texts" / f"{name}.txt").write_text(TEXTS)
    splits = "\n".join(f'{split} = "{tmp_path}/texts/{name}.txt"' for split, name in zip(SPLITS, "abc", strict=True))
    (tmp_path / "config.toml").write_text(f"[corpus]\n{splits}\n")
    return ["run", "--dry-run", "--config", str(tmp_path / "config.toml"), "--output", str(tmp_path / "output")]


def test_a_dry_run_says_what_a_run_would_do_and_makes_nothing(corpus, tmp_path, capsys):
    assert main(corpus) == 0
    said = capsys.readouterr().out
    assert "3 files" in said
    assert "train: There is no champion yet." in said
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("corpus.train=/nowhere/*.txt", "/nowhere/*.txt"),
        ("corpus.valid=", "valid split"),
        ("evaluate.split=tst", "evaluate.split"),
    ],
)
def test_a_dry_run_tells_what_a_run_would_find_out_late(corpus, capsys, change, named):
    assert main([*corpus, "--set", change]) == ExitCode.USER
    assert named in capsys.readouterr().err


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
    assert (done.returncode, done.stderr) == (0, "")


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
