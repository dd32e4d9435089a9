"""What `hopline run --runner docker` does before it has an engine; with one: tests/docker."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.images import USER
from hopline.config.corpus import CorpusConfig
from hopline.runtime.errors import UserError
from hopline.runtime.process import FAILURE_FILE, read_failure
from pipelines.containers import StepContainers, corpus_source, docker_runner
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


def test_a_container_has_no_network_no_rights_and_a_root_that_cannot_be_written(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "output").mkdir()
    corpus = CorpusConfig(train=str(tmp_path / "texts"))
    arguments = docker_runner(corpus, tmp_path / "output").container_run_args
    assert arguments["network_mode"] == "none"
    assert arguments["read_only"] is True
    assert arguments["cap_drop"] == ["ALL"]
    assert "cap_add" not in arguments
    assert not arguments.get("privileged")
    assert arguments["security_opt"] == ["no-new-privileges"]
    assert list(arguments["tmpfs"]) == ["/tmp"]
    assert arguments["entrypoint"] == ""
    mounted = {mount["Source"]: (mount["Target"], mount["ReadOnly"]) for mount in arguments["mounts"]}
    texts, output = str(tmp_path / "texts"), str(tmp_path / "output")
    assert mounted == {texts: (texts, True), output: (output, False)}
    assert list(arguments["labels"].values()) == [output]


class Container:
    """A container that ends with a code."""

    def __init__(self, code):
        self.code, self.removed = code, False

    def logs(self, *, stream):
        return iter([b"a line\n"])

    def wait(self):
        return {"StatusCode": self.code}

    def remove(self, *, force):
        self.removed = force


@pytest.mark.parametrize("code", [0, 3, 137])
def test_a_container_s_exit_code_is_the_step_s_and_it_is_removed_afterwards(tmp_path, code):
    container = Container(code)
    given = {}

    class Engine:
        class containers:
            @staticmethod
            def run(image, command, **options):
                given.update(options, image=image)
                return container

    steps = StepContainers(tmp_path)
    assert steps.run(Engine, "hopline-train:1", ["true"], {}, read_only=True) == code
    assert container.removed
    assert (given["image"], given["detach"], given["read_only"]) == ("hopline-train:1", True, True)
    assert "auto_remove" not in given  # or the code of one that ends at once would be lost


@pytest.mark.parametrize("image", ["control", "preprocess", "train"])
def test_an_image_runs_as_our_user_and_not_as_root(image):
    text = (Path(__file__).parents[2] / "docker" / f"{image}.Dockerfile").read_text()
    last = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == [f"{USER}:{USER}"]


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
