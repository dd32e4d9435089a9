"""A reader that has enough, such as `| head`, is no error for any command."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hopline.runtime.process import child_environment
from pipelines.cli import arguments
from pipelines.commands.help import parsers_of

PRINTING = {
    "config explain": ["config", "explain", "train"],
    "config init": ["config", "init", "--output", "new.toml"],
    "config show": ["config", "show"],
    "compile": ["compile", "--output", "pipeline.yaml"],
    "completion": ["completion", "bash"],
}


def commands() -> Iterator[str]:
    """Every command and action, as it is typed."""
    for parser in parsers_of(arguments()):
        has_actions = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
        if not has_actions:
            yield parser.prog.removeprefix("hopline").strip()


def run_without_reader(command: list[str], folder) -> subprocess.CompletedProcess[str]:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [sys.executable, "-m", "pipelines.cli", *command],
            stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=folder, env=child_environment(),
        )  # fmt: skip
    finally:
        os.close(writing)


def test_the_help_of_every_command_may_be_cut_short(tmp_path):
    code = """
import os, sys
from pipelines.cli import main
failed = []
for line in sys.stdin.read().splitlines():
    pid = os.fork()
    if not pid:
        try:
            code = main([*line.split(), "--help"])
        except SystemExit as left:
            code = left.code or 0
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            code = 99
        os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    failed += [(line, status)] * (status != 0)
os.write(2, repr(failed).encode())
os._exit(0)
"""
    names = sorted(set(commands()))
    assert {"run", "models list", "runs list", "schedule apply", "score"} <= set(names)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code], input="\n".join(names), stdout=writing, stderr=subprocess.PIPE, text=True,
        check=True, cwd=tmp_path, env=child_environment(),
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == "[]"


@pytest.mark.parametrize("name", PRINTING)
def test_what_a_command_prints_may_be_cut_short(name, tmp_path):
    done = run_without_reader(PRINTING[name], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_whose_reader_has_enough_still_does_its_work(tmp_path):
    run_without_reader(["compile", "--output", "pipeline.yaml"], tmp_path)
    assert (tmp_path / "pipeline.yaml").is_file()
