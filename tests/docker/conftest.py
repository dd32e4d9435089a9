"""A Docker engine, the images on it, and hardened containers of them."""

import os
import platform
import subprocess
from pathlib import Path

import pytest

from components import images as names

ROOT = Path(__file__).resolve().parents[2]
BASE_IMAGE_VARIABLE = "HOPLINE_TEST_BASE_IMAGE"
USER = 10001  # of every image
LABEL = f"hopline-test={os.getpid()}"
HARDENED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


def docker(*arguments):
    """Runs `docker` with the arguments; what it prints."""
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout.strip()


def contained(image, *arguments, options=()):
    """Runs a container as locked up as a cluster's strictest policy would have it, without a network."""
    command = ["docker", "run", "--rm", "--label", LABEL, *HARDENED, "--network", "none", *options, image, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def mounted(folder, *, writable=False):
    """Options that show a container the folder, under its own name."""
    return ["--mount", f"type=bind,source={folder},target={folder}{'' if writable else ',readonly'}"]


def owner_of(folder):
    """Options for a user that may write the folder: the image's, to whom root can give it, or else this one."""
    if os.getuid() == 0:
        os.chown(folder, USER, USER)
        return []
    return ["--user", f"{os.getuid()}:{os.getgid()}"]


def remove_containers():
    """Removes what containers these tests have started, running or not."""
    for container in docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split():
        docker("rm", "--force", container)


@pytest.fixture(scope="session")
def engine():
    """A Docker engine, swept at the end.  Without one the tests fail: whoever selected them wants them run."""
    try:
        subprocess.run(["docker", "version"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        pytest.fail(
            f"no Docker engine answers: {reason}; remedy: install Docker, start it, and let this user use it "
            "(`docker version` must show a server)",
            pytrace=False,
        )
    yield
    remove_containers()


@pytest.fixture(scope="session")
def base_image(engine):
    """An image with Python that needs no registry, or the one that the environment names."""
    if given := os.environ.get(BASE_IMAGE_VARIABLE):
        return given
    name = f"hopline-test-base:{platform.freedesktop_os_release().get('VERSION_CODENAME', 'latest')}"
    if not docker("images", "--quiet", name):
        subprocess.run([ROOT / "tests" / "docker" / "base.sh", name], check=True)
    return name


@pytest.fixture(scope="session")
def images(base_image):
    """The images of all steps, built from this checkout."""
    subprocess.run(["make", "images", f"BASE_IMAGE={base_image}"], cwd=ROOT, check=True)
    return names
