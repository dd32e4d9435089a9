"""What the Dockerfiles are made from; the images themselves are tested in tests/docker."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from components.images import CONTROL, TRAIN, tag_of
from components.steps import IMAGES, image_of
from hopline.artifacts import git_revision
from hopline.runtime.version import VERSION

ROOT = Path(__file__).parents[1]
BUILT = sorted(set(IMAGES.values()))
LOCK = runpy.run_path(str(ROOT / "docker" / "lock.py"))


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


def locked(image):
    """What of the image's lock is installed on this system's Python, by machine; each with hashes."""
    found = {"x86_64": {}, "aarch64": {}}
    text = Path(f"docker/{image}.lock").read_text().replace("\\\n", "")
    for line in (line for line in text.splitlines() if not line.startswith("#")):
        pinned, *hashes = line.split("--hash=")
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value.strip()) for value in hashes), line
        requirement = Requirement(pinned)
        for machine, pins in found.items():
            if not requirement.marker or requirement.marker.evaluate({"platform_machine": machine}):
                assert requirement.name not in pins
                pins[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


@pytest.mark.parametrize("image", LOCK["IMAGES"])
def test_a_lock_has_what_its_image_needs_in_the_versions_of_the_constraints(image):
    constrained = {}
    for line in Path("constraints.txt").read_text().splitlines()[1:]:
        requirement = Requirement(line)
        constrained.setdefault(requirement.name, set()).add(str(requirement.specifier).removeprefix("=="))
    for machine, pins in locked(image).items():
        for line in LOCK["requirements"](image):
            requirement = Requirement(line)
            cpu = machine == "x86_64" and requirement.name == "tensorflow" and not image.endswith("-gpu")
            if cpu or (requirement.marker and not requirement.marker.evaluate({"platform_machine": machine})):
                continue
            assert pins[requirement.name] in str(requirement.specifier)
        assert all(pins[name] in constrained[name] for name in pins if name != "tensorflow-cpu")
        builds = {name for name in pins if name in ("tensorflow", "tensorflow-cpu")}
        smaller = machine == "x86_64" and not image.endswith("-gpu")
        assert builds == (set() if image == "control" else {"tensorflow-cpu" if smaller else "tensorflow"})


def test_the_entry_point_becomes_the_program_of_a_step():
    command = [sys.executable, "-m", "components"]
    helped = subprocess.run([*command, "resolve", "--help"], capture_output=True, text=True, check=True)
    assert "--registry" in helped.stdout
    for wrong in ([], ["no-step"], ["--unknown"]):
        assert subprocess.run([*command, *wrong], capture_output=True, check=False).returncode == 2
