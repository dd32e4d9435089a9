"""Prints what an image installs, a requirement a line: an extra of pyproject.toml, which alone names versions.

    python3 requirements.py EXTRA [--accelerator cpu|gpu]

For a GPU the CUDA packages are added.  For a CPU the build of TensorFlow without code for GPUs is taken, half the size
of the other, where there is one (x86_64).
"""

import argparse
import platform
import tomllib
from pathlib import Path


def requirements(extra: str, accelerator: str | None, machine: str) -> list[str]:
    """The requirements of `extra` on `machine`, for `accelerator` if it matters."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    if accelerator == "gpu":
        return [*extras[extra], *extras["gpu"]]
    if accelerator == "cpu" and machine == "x86_64":
        return [line.replace("tensorflow==", "tensorflow-cpu==") for line in extras[extra]]
    return list(extras[extra])


def main() -> None:
    """Prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extra")
    parser.add_argument("--accelerator", choices=["cpu", "gpu"])
    options = parser.parse_args()
    print(*requirements(options.extra, options.accelerator, platform.machine()), sep="\n")


if __name__ == "__main__":
    main()
