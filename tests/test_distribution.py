"""What `make dist` makes: an sdist, and from it a wheel that runs where there is no checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from hopline.runtime.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hopline", "components", "pipelines")
TRACKED = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder of an sdist, and of a wheel that was built from it, of the tracked files alone."""
    folder = tmp_path_factory.mktemp("dist")
    for name in TRACKED:
        if (ROOT / name).is_file():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / "tree" / name)
    command = ["make", "dist", f"BIN={Path(sys.executable).parent}", f"DIST={folder}", "INSTALLED="]
    subprocess.run(command, cwd=folder / "tree", check=True)
    return folder


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory):
    """A virtual environment with the wheel; what it depends on is found in this one."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    (wheel,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", folder / "bin" / "python"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    # A path that a .pth file adds is searched, but its own .pth files, this checkout's among them, are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    return folder / "bin"


@pytest.fixture
def call(installed, tmp_path):
    """Runs a program of the environment where there is no checkout, and returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(program, *arguments):
        command = [installed / program, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    return run


def test_the_wheel_holds_every_file_of_its_packages_and_the_templates(dist):
    (wheel,) = dist.glob(f"hopline-{VERSION}-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = {name for name in TRACKED if name.partition("/")[0] in PACKAGES and (ROOT / name).is_file()}
    assert needed | {"k8s/base/role.yaml", "k8s/base/training-job.yaml"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]


def test_the_sdist_holds_no_text_of_anyone_and_the_license(dist):
    (archive,) = dist.glob(f"hopline-{VERSION}.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


def test_the_installed_command_says_its_version_and_looks_before_it_runs(call, tmp_path):
    assert call("hopline", "--version") == f"hopline {VERSION}\n"
    assert "start here" in call("hopline", "--help")
    (tmp_path / "my.toml").write_text('[train]\nepochs = 1\n[corpus]\ntrain = "embedded:python"\n')
    assert "would" in call("hopline", "run", "--dry-run", "--config", "my.toml", "--output", "out")


def test_the_installed_package_is_the_wheels_and_has_its_data(call, installed):
    found = call(
        "python", "-c",
        "import components.use, hopline, pipelines.doctor.cluster as doctor, pipelines.estimate as estimate\n"
        "from components.train.launch.cluster.manifests import TEMPLATE\n"
        "from pathlib import Path\n"
        "page = Path(components.use.__file__).with_name('page.html')\n"
        "print(hopline.__file__, *(p.is_file() for p in (TEMPLATE, doctor._ROLE, estimate._RECORDS, page)))",
    )  # fmt: skip
    where, *there = found.split()
    assert Path(where).is_relative_to(installed.parent)
    assert there == ["True"] * 4
