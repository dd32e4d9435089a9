"""The command that kfp starts for a task."""

import sys

from kfp.local import subprocess_task_handler

from components.resolve.component import resolve
from pipelines.driver import _with_interpreter


def test_the_interpreter_replaces_python3_in_the_script_and_nowhere_else():
    container = resolve.component_spec.implementation.container
    arguments = ["--executor_input", '{"train": "/usr/lib/python3/texts"}']
    command = [*container.command, *arguments]
    changed = _with_interpreter(command, "/my venv/bin/python")
    assert "python3" in command[2]
    assert "'/my venv/bin/python' -m kfp.dsl.executor_main" in changed[2]
    assert "python3" not in changed[2]
    assert [*changed[:2], *changed[3:]] == [*command[:2], *command[3:]]


def test_kfp_still_changes_the_arguments_too():
    """The reason for `_with_interpreter`: when this fails, kfp has mended it and the replacement can go."""
    container = resolve.component_spec.implementation.container
    command = [*container.command, "/usr/lib/python3/texts"]
    changed = subprocess_task_handler.replace_python_executable(command, sys.executable)
    assert changed[-1] != "/usr/lib/python3/texts"
