"""What `hopline run --runner docker` does before it has an engine; with one: tests/docker."""

import subprocess
import sys

import pytest

from hopline.runtime.errors import UserError
from hopline.runtime.process import FAILURE_FILE, read_failure
from pipelines.containers import corpus_source
from pipelines.output import CACHE


@pytest.mark.parametrize(
    ("pattern", "source"),
    [
        ("{folder}/texts", "{folder}/texts"),
        ("{folder}/texts/a.txt", "{folder}/texts/a.txt"),
        ("{folder}/texts/*.txt", "{folder}/texts"),
        ("{folder}/texts/**/[ab].txt", "{folder}/texts"),
        ("{folder}/odd[1]/a.txt", "{folder}/odd[1]/a.txt"),  # a path that exists is never taken for a glob
    ],
)
def test_a_container_sees_of_the_corpus_what_its_pattern_needs(tmp_path, pattern, source):
    for name in ("texts/a.txt", "odd[1]/a.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("some words\n")
    assert corpus_source(pattern.format(folder=tmp_path)) == source.format(folder=tmp_path)


@pytest.mark.parametrize(
    "pattern", ["", "embedded:python", "embedded:python-docs", "/nowhere/at/all", "/nowhere/*.txt"]
)
def test_nothing_is_mounted_for_what_is_not_a_file_here(pattern):
    assert corpus_source(pattern) is None


@pytest.mark.parametrize("pattern", ["/*.txt", "/tmp", "/tmp/*.txt", "/usr"])
def test_a_corpus_is_never_mounted_over_what_a_container_needs(pattern):
    with pytest.raises(UserError, match="a folder of their own there"):
        corpus_source(pattern)


def test_a_driver_that_refuses_the_corpus_leaves_word_of_why(tmp_path):
    (tmp_path / "config.toml").write_text('[corpus]\ntrain = "/tmp/*.txt"\n')
    command = [sys.executable, "-m", "pipelines.driver", "--config", tmp_path / "config.toml", "--output", tmp_path]
    command += ["--registry", tmp_path / "registry", "--root", tmp_path / "kfp", "--runner", "docker"]
    done = subprocess.run(command, capture_output=True, check=False)
    failure = read_failure(tmp_path / CACHE / FAILURE_FILE)
    assert isinstance(failure, UserError)
    assert done.returncode == 2
    assert "a folder of their own there" in failure.message


def test_without_an_engine_it_says_so_and_leaves_nothing_behind(hopline):
    hopline.environment["DOCKER_HOST"] = f"unix://{hopline.folder}/no.sock"
    done = hopline.run("--runner", "docker")
    assert done.returncode == 2
    assert "none answers" in done.stderr
    assert hopline.runs() == []
