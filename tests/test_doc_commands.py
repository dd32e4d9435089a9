"""Every command of README.md, CONTRIBUTING.md and docs/ is one that its program takes, and that some test runs."""

import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import arguments

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

# The words a command begins with, and the test that runs it.
TESTED = {
    "hopline compile": "tests/pipelines/test_cli.py",
    "hopline doctor cluster": "tests/pipelines/doctor/test_cluster.py",
    "hopline doctor kind": "tests/pipelines/doctor/test_machine.py",
    "hopline generate": "tests/pipelines/test_using.py",
    "hopline models": "tests/pipelines/test_models.py",
    "hopline rescore": "tests/pipelines/test_using.py",
    "hopline resize": "tests/components/train/test_resize.py",
    "hopline run": "tests/pipelines/test_run.py",
    "hopline runs": "tests/pipelines/test_local_runs.py",
    "hopline schedule": "tests/pipelines/kubeflow/test_schedule_command.py",
    "hopline score": "tests/pipelines/test_using.py",
    "hopline serve": "tests/components/use/test_serve.py",
    "hopline submit": "tests/pipelines/kubeflow/test_commands.py",
    "make image-gpu": "tests/test_images.py",
    "make images": "tests/docker/conftest.py",
    "make kind-down": "tests/k8s/test_kind.py",
    "make kind-run": "tests/k8s/test_kind.py",
    "make kind-up": "tests/k8s/test_kind.py",
    "make run": ".ci/run",
    "make test": ".ci/run",
    "python -m components.train": "tests/components/train/test_train.py",
    "python -m components.train.launch": "tests/components/train/launch/cluster/test_programs.py",
}

# Programs that are not ours, and what a command of theirs needs here; tests/k8s renders the overlays they apply.
NEEDS = {
    "curl": "a server", "docker": "an engine and a registry", "gcloud": "an account at Google", "kubectl": "a cluster",
}  # fmt: skip
SHELL = {"cd", "do", "done", "echo", "export", "for", "sed"}


def blocks(document):
    """The fenced blocks of commands: those marked as shell, and unmarked ones that begin with a program of ours."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(), re.DOTALL | re.MULTILINE):
        if language == "sh" or (not language and re.match(r"(\$ )?(hopline|make) ", block)):
            yield language, block


def commands(document):
    """Each command's words, without prompt, comment, assignments and what a pipe or `&` joins it to."""
    for language, block in blocks(document):
        for line in re.sub(r"\$\([^)]*\)", "of-a-command", block.replace("\\\n", " ")).splitlines():
            if not language and not re.match(r"(\$ |echo .*\| )?hopline ", line):
                continue  # what a command has printed
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;")
            lexer.whitespace_split = True
            words = []
            for word in [*lexer, ";"]:
                if set(word) <= set("|&;"):
                    if words:
                        yield words
                    words = []
                elif words or not re.match(r"\w+=", word):
                    words.append(word)


def ours(program):
    """The program's commands in all documents, as (document, arguments)."""
    for document in DOCUMENTS:
        for words in commands(document):
            name = words[0].removeprefix(".venv/bin/")
            if name == program:
                yield pytest.param(words[1:], id=f"{document.name}: {' '.join([name, *words[1:]])[:70]}")


@pytest.mark.parametrize("words", ours("hopline"))
def test_hopline_takes_every_command_of_the_documents(words):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            assert callable(arguments().parse_args(words).command)
        except SystemExit:
            pytest.fail(said.getvalue())


@pytest.mark.parametrize("words", ours("python"))
def test_every_module_that_the_documents_start_takes_the_arguments(words):
    assert words[0] == "-m"
    module = importlib.import_module(
        f"{words[1]}.__main__" if (ROOT / words[1].replace(".", "/")).is_dir() else words[1]
    )
    refused = []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            sys.modules[module.main.__module__].arguments().parse_args(words[2:])
        except SystemExit as end:
            refused = [said.getvalue()] if end.code else []
    assert not refused


@pytest.mark.parametrize("words", ours("make"))
def test_make_knows_what_to_do_for_every_command_of_the_documents(words):
    subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def starts(document):
    """What each command of ours begins with, up to the longest start that TESTED has, or all of it."""
    for words in commands(document):
        words[0] = words[0].removeprefix(".venv/bin/")
        if words[0] not in NEEDS.keys() | SHELL:
            for each in [["make", target] for target in words[1:]] if words[0] == "make" else [words]:
                text = " ".join(each)
                yield max((start for start in TESTED if f"{text} ".startswith(f"{start} ")), key=len, default=text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_runs_in_a_test_or_needs_what_no_test_has(document):
    untested = set(starts(document)) - TESTED.keys()
    assert not untested


@pytest.mark.parametrize(("start", "test"), TESTED.items())
def test_the_test_that_runs_a_command_names_it(start, test):
    assert any(start in starts(document) for document in DOCUMENTS), "no document has the command any more"
    assert start.split()[-1].rpartition(".")[2] in (ROOT / test).read_text()


def test_a_dry_run_of_the_first_command_says_what_it_would_do_and_makes_nothing(tmp_path):
    command = [sys.executable, "-m", "pipelines.cli", "run", "--config", "configs/tiny.toml", "--dry-run"]
    done = subprocess.run(
        [*command, f"--output={tmp_path / 'out'}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "would" in done.stdout
    assert not list(tmp_path.glob("out/runs/*"))
