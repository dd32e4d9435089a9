"""Makes docker/*.lock, all that each image installs, with hashes, of the versions in constraints.txt.

    make constraints

An image installs an extra of pyproject.toml, which alone names what is needed.  For a GPU the CUDA packages are added;
else x86_64 takes the build of TensorFlow without code for GPUs, half the size of the other; others have one build.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

IMAGES = {"control": "control", "preprocess": "preprocess", "train-cpu": "train", "train-gpu": "train"}  # their extras
_X86 = "platform_machine == 'x86_64'"
_HEADER = "# All that an image installs, for Python 3.11 to 3.13.  Made by: make constraints\n"


def requirements(image: str) -> list[str]:
    """What the image needs, without what that needs."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = list(extras[IMAGES[image]])
    if image.endswith("-gpu"):
        return needed + extras["gpu"]
    smaller = [
        f"{line.replace('tensorflow==', 'tensorflow-cpu==')} ; {_X86}" for line in needed if "tensorflow==" in line
    ]
    return needed + smaller


def locked(image: str) -> str:
    """The content of the image's lock."""
    command = [
        str(Path(sys.executable).with_name("uv")), "pip", "compile", "-", "--constraint", "constraints.txt",
        "--generate-hashes", "--universal", "--python-version", "3.11", "--no-annotate", "--no-header", "--quiet",
    ]  # fmt: skip
    asked = "\n".join(requirements(image))
    found = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True).stdout
    if "tensorflow-cpu==" in found:
        # Also where TensorFlow Transform asks for the large build, whichever is there.
        found = re.sub(r"^(tensorflow==\S+)", rf"\1 ; {_X86.replace('==', '!=')}", found, flags=re.MULTILINE)
    return _HEADER + found


if __name__ == "__main__":
    for name in IMAGES:
        Path(f"docker/{name}.lock").write_text(locked(name), encoding="utf-8")
