"""What `hopline run` needs of this machine."""

import importlib.metadata
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil

from components.steps import IMAGES
from pipelines.doctor.check import Answer, Check, missing, ok
from pipelines.doctor.programs import ProgramError, Version, output, shown

GIB = 1024**3
OLDEST, NEWEST = (3, 11), (3, 13)
RUN_MEMORY_GIB = 4  # TensorFlow and Beam take one to two
RUN_DISK_GIB = 5  # a run of configs/ptb.toml with its cache
EXTRAS = ("command", "preprocess", "train", "control")
_PIN = re.compile(r"""(?P<name>[\w.-]+)==(?P<version>[^;\s]+)\s*;\s*extra\s*==\s*["'](?P<extra>\w+)["']""")


def checks(output_folder: Path) -> list[Check]:
    """For runs whose results go to `output_folder`."""
    found = [
        Check("Python", lambda: python(sys.version_info[:2])),
        Check("memory", lambda: memory(psutil.virtual_memory().total, RUN_MEMORY_GIB)),
        Check("disk", lambda: disk(output_folder, RUN_DISK_GIB)),
    ]
    return found + [Check(f"packages of {name}", lambda name=name: extra(name)) for name in EXTRAS]  # type: ignore[misc]


def python(version: Version) -> Answer:
    """Whether hopline runs with this Python."""
    if OLDEST <= version <= NEWEST:
        return ok(shown(version))
    return missing(f"{shown(version)}, but 3.11 to 3.13 are supported", "make PYTHON=python3.12 setup")


def memory(total: int, least_gib: int) -> Answer:
    """Whether `total` bytes of memory are about `least_gib`: what a system keeps for itself is not counted."""
    found = f"{total / GIB:.1f} GiB"
    if total >= 0.9 * least_gib * GIB:
        return ok(found)
    return missing(f"{found}, but {least_gib} GiB are needed", "use a larger machine")


def disk(folder: Path, least_gib: int) -> Answer:
    """Whether the file system that `folder` is on, or will be on, has room."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / GIB:.0f} GiB free at {place}"
    if free >= least_gib * GIB:
        return ok(found)
    return missing(f"{found}, but {least_gib} GiB are needed", "make room, or choose another --output")


def extra(
    name: str,
    requirements: Iterable[str] | None = None,
    installed: Callable[[str], str] = importlib.metadata.version,
) -> Answer:
    """Whether the packages of the extra `name` are installed at their pins, by default those of this hopline."""
    lines = requirements if requirements is not None else importlib.metadata.requires("hopline") or []
    pins = {
        match["name"]: match["version"] for line in lines if (match := _PIN.search(line)) and match["extra"] == name
    }
    wrong = [found for package, pin in pins.items() if (found := _deviation(package, pin, installed))]
    if wrong:
        return missing("; ".join(wrong), "make setup, or pip install -c constraints.txt 'hopline[" + name + "]'")
    return ok(f"{len(pins)} at their pins")


def _deviation(package: str, pin: str, installed: Callable[[str], str]) -> str:
    try:
        version = installed(package)
    except importlib.metadata.PackageNotFoundError:
        return f"{package} is not installed"
    return "" if version == pin else f"{package} is {version}, pinned {pin}"


def images(images: Mapping[str, str] = IMAGES) -> Check:
    """That the engine has the images of all steps."""

    def look() -> Answer:
        wanted = sorted(set(images.values()))
        try:
            there = output(["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]).split()
        except ProgramError as error:
            return missing(str(error), "start the engine")
        absent = [image for image in wanted if image not in there]
        return missing(f"not built: {', '.join(absent)}", "make images") if absent else ok(", ".join(wanted))

    return Check("images", look)
