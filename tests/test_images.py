"""What the Dockerfiles are made from; the images themselves are tested in tests/docker."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from components.images import CONTROL, TRAIN, tag_of
from components.steps import IMAGES, image_of
from hopline.artifacts import git_revision
from hopline.runtime.version import VERSION

ROOT = Path(__file__).parents[1]
BUILT = sorted(set(IMAGES.values()))
requirements = runpy.run_path(str(ROOT / "docker" / "requirements.py"))["requirements"]


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("image", BUILT)
def test_a_dockerfile_takes_the_code_of_its_steps_and_of_no_other(image):
    short = image.partition(":")[0].removeprefix("hopline-")
    text = Path(f"docker/{short}.Dockerfile").read_text()
    beside = {CONTROL: {"follow"}, TRAIN: {"use"}}
    steps = {step for step, of in IMAGES.items() if of == image} | beside.get(image, set())
    assert set(re.findall(r"^COPY components/(\w+) ", text, re.MULTILINE)) - {"__init__"} == steps


def tagged(*arguments):
    """The names that `make images` and `make image-gpu` would give."""
    command = ["make", "--dry-run", "images", "image-gpu", "TAG=0123456789ab", *arguments]
    planned = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sorted(re.findall(r"--tag (\S+)\s", planned))


def test_make_tags_every_image_by_commit_and_only_a_release_by_its_version_too():
    by_commit = {image_of(step, "", "0123456789ab") for step in IMAGES} | {"hopline-train:0123456789ab-gpu"}
    assert tagged("RELEASE=") == sorted(by_commit)
    released = {*by_commit, *BUILT, f"hopline-train:{VERSION}-gpu"}
    assert tagged(f"RELEASE=v{VERSION}") == sorted(released)


def test_the_tag_that_make_gives_is_the_one_that_a_submission_names():
    planned = subprocess.run(["make", "--dry-run", "images"], capture_output=True, text=True, check=True).stdout
    assert f"--tag hopline-train:{tag_of(git_revision())}" in planned


@pytest.mark.parametrize(
    ("accelerator", "machine", "tensorflow"),
    [
        (None, "x86_64", ["tensorflow"]),
        ("cpu", "x86_64", ["tensorflow-cpu"]),
        ("cpu", "aarch64", ["tensorflow"]),  # there is no smaller one
        ("gpu", "x86_64", ["tensorflow", "tensorflow[and-cuda]"]),
    ],
)
def test_an_image_installs_the_tensorflow_that_it_can_use(accelerator, machine, tensorflow):
    names = [line.partition("==")[0] for line in requirements("train", accelerator, machine)]
    assert [name for name in names if name.startswith("tensorflow")] == tensorflow


def test_the_entry_point_becomes_the_program_of_a_step():
    command = [sys.executable, "-m", "components"]
    helped = subprocess.run([*command, "resolve", "--help"], capture_output=True, text=True, check=True)
    assert "--registry" in helped.stdout
    for wrong in ([], ["no-step"], ["--unknown"]):
        assert subprocess.run([*command, *wrong], capture_output=True, check=False).returncode == 2
