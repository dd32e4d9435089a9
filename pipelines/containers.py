"""`hopline run --runner docker`: each step in its image, on the Docker engine of this machine.

A step runs as a user without rights, on a read-only root and without a network, unless it is to use an object store
(`pipelines.reach`); it sees the output folder and, to read, the corpus.  A container does not end with the process
that started it, so each carries the output folder in a label: a container with that label, while no run is using the
folder, was left behind.
"""

import contextlib
import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from docker.types import Mount
from kfp import local

from components.steps import IMAGES
from hopline.config.corpus import EMBEDDED_CORPORA, CorpusConfig
from hopline.corpus.local import divide
from hopline.runtime.errors import ExitCode, UserError
from hopline.runtime.places import is_remote
from hopline.runtime.progress import STATUS_VARIABLE
from hopline.schema import SPLITS
from pipelines.reach import store_options

_LABEL = "hopline.output"
# Not `docker stop`: that tells the first process alone, kfp's shell, which neither dies of it nor tells others.
_TELL_ALL = "import os, signal; os.kill(-1, signal.SIGTERM)"
_OCCUPIED = ("/bin", "/dev", "/etc", "/lib", "/opt", "/proc", "/sys", "/tmp", "/usr")  # noqa: S108  in an image


def prepare(output: Path, folders: Sequence[Path]) -> None:
    """Finds the engine and all images, removes what was left behind, lets the steps' user write in `folders`.

    Raises:
        UserError: there is no engine, or an image is missing.
    """
    users = set()
    with engine() as client:
        for image in sorted(set(IMAGES.values())):
            try:
                users.add(client.images.get(image).attrs["Config"]["User"])
            except ImageNotFound as error:
                raise UserError(f"the Docker engine has no image {image}", remedy="build it: make images") from error
    remove_containers(output)
    if _own_user():
        return
    (user,) = users
    uid, gid = map(int, user.split(":"))
    for folder in folders:
        folder.mkdir(exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)


def docker_runner(corpus: CorpusConfig, output: Path, vectors: str = "") -> local.DockerRunner:
    """How kfp starts the containers of a run under `output`.

    Args:
        corpus: whose files the steps are to see.
        output: the run's folder.
        vectors: `model.pretrained`, which they are to see as well.

    Raises:
        UserError: one of them lies where a container has folders of its own.
    """
    user = {"user": _own_user()} if _own_user() else {}
    patterns = [*(getattr(corpus, split) for split in SPLITS), "" if is_remote(vectors) else vectors]
    sources = sorted({source for pattern in patterns if (source := corpus_source(pattern))})
    return local.DockerRunner(
        **user,
        entrypoint="",  # else kfp's command would become its arguments
        environment={STATUS_VARIABLE: os.environ.get(STATUS_VARIABLE, "")},
        labels={_LABEL: str(output)},
        mounts=[
            Mount(str(output), str(output), type="bind"),
            *(Mount(source, source, type="bind", read_only=True) for source in sources),
        ],
        network_mode="none",
        read_only=True,
        tmpfs={"/tmp": ""},  # noqa: S108  a container's own
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )


class StepContainers:
    """The containers of a run under `output`, one after the other."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._stopping = False

    def run(self, client: Any, image: str, command: list[str], volumes: object, **options: Any) -> int:
        """Runs a task's container, prints its log and returns its exit code; takes the place of a function of kfp.

        kfp's own has the engine remove a container at its end, and takes one that is gone before it has asked for the
        exit code for a success.  It also mounts its folder, `volumes`, which lies in our output folder: as a file
        system of its own, to and from which no file could be linked.
        """
        if self._stopping:
            return ExitCode.PREEMPTED
        added = store_options(command, os.environ, Path.home())
        options["environment"] = {**options.get("environment", {}), **added.pop("environment", {})}
        options["mounts"] = [*options.get("mounts", []), *added.pop("mounts", [])]
        container = client.containers.run(image, command, detach=True, **{**options, **added})
        try:
            if self._stopping:  # it was not there yet when the others were told
                self.stop()
            for chunk in container.logs(stream=True):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            return int(container.wait()["StatusCode"])
        finally:
            with contextlib.suppress(NotFound):
                container.remove(force=True)

    def stop(self) -> None:
        """Sends SIGTERM to all processes of the container that runs, and lets no further one start."""
        self._stopping = True
        with engine() as client:
            for container in _containers(client, self._output):
                with contextlib.suppress(DockerException):  # it has just ended
                    container.exec_run(["python3", "-c", _TELL_ALL])


def remove_containers(output: Path) -> None:
    """Removes the containers of the run under `output`, running or not."""
    with engine() as client:
        for container in _containers(client, output):
            with contextlib.suppress(NotFound):
                container.remove(force=True)


@contextlib.contextmanager
def engine() -> Iterator[Any]:
    """A client of this machine's engine.

    Raises:
        UserError: none answers.
    """
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        raise UserError(
            f"--runner docker needs a Docker engine, and none answers: {error}",
            remedy="start it and see that this user may use it (docker info), or leave out --runner docker",
        ) from error
    with contextlib.closing(client):
        yield client


def corpus_source(pattern: str) -> str | None:
    """The file or folder that a container must see to read the pattern of a corpus; None if it needs or finds none.

    Raises:
        UserError: it lies where a container has folders of its own.
    """
    if pattern in {"", *EMBEDDED_CORPORA}:
        return None
    path = Path(pattern)
    if not path.exists() and glob.has_magic(pattern):
        path, _ = divide(path)
    if not path.is_absolute() or not path.exists():
        return None  # the step says what is wrong with it
    if any(Path(folder).is_relative_to(path) for folder in _OCCUPIED):
        raise UserError(
            f"the corpus {pattern} would need {path} in the containers, which have a folder of their own there",
            remedy="move the text into a folder of its own, or leave out --runner docker",
        )
    return str(path)


def _containers(client: Any, output: Path) -> list[Any]:
    found: list[Any] = client.containers.list(all=True, filters={"label": f"{_LABEL}={output}"}, ignore_removed=True)
    return found


def _own_user() -> str:
    """Whose the files of a run are: the caller's, or "" for the images' user where the caller is root."""
    return f"{os.geteuid()}:{os.getegid()}" if os.geteuid() else ""
