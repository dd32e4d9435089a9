"""What is in the images, what is not, and what their containers may do."""

import json
import re
from dataclasses import dataclass

import pytest

from components import images, steps
from hopline import artifacts
from hopline.runtime import version
from hopline.runtime.process import FAILURE_FILE, read_failure
from hopline.schema import EXAMPLES
from tests.components.preprocess.cases import case, prepare
from tests.docker.conftest import USER, contained, docker, mounted, owner_of

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800), pytest.mark.usefixtures("images")]

TOOLS = ["as", "c++", "cc", "clang", "g++", "gcc", "ld", "make"]
LINES = "".join(f"word{number % 17} word{number % 5} and the line {number % 3}\n" for number in range(400))


@dataclass(frozen=True)
class Content:
    """What an image should hold: steps, and modules that can be imported and that cannot."""

    image: str
    steps: list[str]
    modules: list[str]
    absent: list[str]


CONTENTS = [
    Content(
        images.CONTROL,
        steps=["follow", "notify", "promote", "resolve"],
        modules=["kfp", "hopline.registry.registry"],
        absent=["apache_beam", "keras", "matplotlib", "numpy", "tensorflow", "components.evaluate", "components.train"],
    ),
    Content(
        images.PREPROCESS,
        steps=["preprocess"],
        modules=["kfp", "apache_beam", "tensorflow_transform"],
        absent=["matplotlib", "components.notify", "components.promote", "components.train"],
    ),
    Content(
        images.TRAIN,
        steps=["evaluate", "train", "use"],
        modules=["kfp", "keras", "matplotlib", "tensorflow"],
        absent=[
            "apache_beam",
            "pyarrow",
            "tensorflow_transform",
            "components.preprocess",
            "components.notify",
            "components.promote",
        ],
    ),
]
NOWHERE = ["pip", "pipelines", "docker", "pytest"]

each_image = pytest.mark.parametrize("image", [content.image for content in CONTENTS])
each_content = pytest.mark.parametrize("content", CONTENTS, ids=[content.image for content in CONTENTS])


def printed(image, program, *arguments, user=USER):
    """What `program` prints in a container of the image."""
    done = contained(image, *arguments, options=["--entrypoint", program, "--user", f"{user}:{user}"])
    assert done.returncode == 0, done.stderr
    return done.stdout


@each_image
def test_a_container_runs_as_a_user_without_rights(image):
    assert docker("image", "inspect", "--format", "{{.Config.User}}", image) == f"{USER}:{USER}"
    done = contained(image, "Uid", "/proc/self/status", options=["--entrypoint", "grep"])
    assert done.stdout.split() == ["Uid:", *[str(USER)] * 4]


@each_content
def test_the_entry_point_lists_the_steps_of_its_image_and_no_other(content):
    done = contained(content.image)
    assert done.returncode == 0, done.stderr
    (listed,) = re.findall(r"installed\s+here:\s+([\w\s,]+)\.", done.stdout)
    assert re.split(r",\s+", listed) == content.steps


@pytest.mark.parametrize(("step", "image"), sorted(steps.IMAGES.items()))
def test_every_step_runs_in_its_image(step, image):
    done = contained(image, step, "--help")
    assert done.returncode == 0, done.stderr
    assert "--work-dir" in done.stdout


@each_content
def test_a_step_of_another_image_is_refused(content):
    for step in steps.IMAGES.keys() - content.steps:
        assert contained(content.image, step, "--help").returncode == 2


@each_content
def test_what_a_step_imports_is_there(content):
    printed(content.image, "python3", "-c", f"import {', '.join(content.modules)}")


@each_content
def test_what_no_step_of_an_image_imports_is_not_there(content):
    program = (
        "import importlib.util, json, sys\n"
        "print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name)]))"
    )
    absent = [*content.absent, *NOWHERE]
    assert json.loads(printed(content.image, "python3", "-c", program, *absent)) == []


@each_image
def test_nothing_can_be_compiled_or_installed(image):
    program = "import json, shutil, sys; print(json.dumps([name for name in sys.argv[1:] if shutil.which(name)]))"
    assert json.loads(printed(image, "python3", "-c", program, *TOOLS)) == []
    assert printed(image, "find", "/opt/venv/bin", "-name", "pip*") == ""


@each_image
def test_no_program_gives_its_user_more_rights(image):
    assert printed(image, "find", "/", "-xdev", "-type", "f", "-perm", "/6000", user=0) == ""


@each_image
def test_the_user_can_change_no_file_of_the_image(image):
    """Not even where an orchestrator leaves the root writable."""
    own = ["-user", str(USER), "-o", "-group", str(USER), "-o", "-perm", "-o+w"]
    assert printed(image, "find", "/", "-xdev", "-type", "f", "(", *own, ")", user=0) == ""


@each_image
def test_a_hardened_container_writes_to_its_temporary_folder_alone(image):
    own = ["--entrypoint", "touch", "--user", "0"]
    assert contained(image, "/tmp/file", options=own).returncode == 0
    refused = contained(image, "/opt/file", options=own)
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stderr


@each_image
def test_the_labels_say_what_an_image_was_built_from(image):
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    assert labels["org.opencontainers.image.version"] == version.VERSION
    assert re.match(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])


def preprocess(folder, arguments):
    options = [*mounted(folder, writable=True), *mounted(folder / "corpus"), *owner_of(folder)]
    return contained(images.PREPROCESS, "preprocess", *arguments, options=options)


def test_preprocess_leaves_with_its_code_and_not_with_the_crash_of_its_libraries(tmp_path):
    done = preprocess(tmp_path, prepare(tmp_path, case(LINES)))
    assert done.returncode == 0, done.stderr
    assert artifacts.verify(tmp_path / "examples", EXAMPLES).counts["train"]["documents"] == 1


def test_a_step_that_fails_says_why_in_its_log_and_for_the_orchestrator(tmp_path):
    arguments = prepare(tmp_path, case(LINES))
    (tmp_path / "corpus" / "text").write_bytes(b"")
    done = preprocess(tmp_path, arguments)
    failure = read_failure(tmp_path / "work" / FAILURE_FILE)
    assert done.returncode == failure.code == 2
    assert "the corpus is empty" in failure.message
    assert failure.message in done.stderr
    assert not (tmp_path / "examples").exists()
