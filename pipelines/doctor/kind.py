"""What a kind cluster with Kubeflow Pipelines needs of this machine."""

import json
from pathlib import Path
from typing import Any

from hopline.runtime.errors import UserError
from pipelines.doctor.check import Answer, Check, missing, ok, unknown
from pipelines.doctor.machine import disk, memory
from pipelines.doctor.programs import ProgramError, output, program

# Kubeflow Pipelines asks for half a core and 2.6 GiB; each task adds two pods, and training two workers.
MEMORY_GIB, CPUS = 8, 4
DISK_GIB = 25  # a node, the images of Kubeflow Pipelines and, twice, ours
ENGINE = "install Docker and start it; add yourself to the group docker"

DOCKER = program("Docker engine", ["docker", "version", "--format", "{{.Server.Version}}"], (20, 10), ENGINE)


def checks() -> list[Check]:
    """For `make kind-up`."""
    return [
        DOCKER,
        Check("cores", lambda: cores(int(_engine()["NCPU"]))),
        Check("memory", lambda: memory(int(_engine()["MemTotal"]), MEMORY_GIB)),
        Check("control groups", lambda: groups(str(_engine().get("CgroupVersion", "")))),
        Check("disk", lambda: room(Path(str(_engine()["DockerRootDir"])))),
        program("kind", ["kind", "version"], (0, 32), "install kind 0.32 or newer: https://kind.sigs.k8s.io"),
        # Its kustomize must know what the manifests of Kubeflow Pipelines use.
        program(
            "kubectl",
            ["kubectl", "version", "--client", "--output=json"],
            (1, 31),
            "install kubectl 1.31 or newer: https://kubernetes.io/docs/tasks/tools",
        ),
        # kubectl fetches the manifests of Kubeflow Pipelines with it.
        program("git", ["git", "--version"], (2, 20), "install git"),
    ]


def cores(count: int) -> Answer:
    """Whether the engine has enough of them."""
    if count >= CPUS:
        return ok(str(count))
    return missing(
        f"{count}, but {CPUS} are needed, or training's workers wait for room",
        "use a larger machine, or give Docker's virtual machine more",
    )


def groups(version: str) -> Answer:
    """Whether the machine's control groups are those that Kubernetes 1.35 and newer need."""
    if version == "1":
        return missing(
            "version 1, which the node's Kubernetes no longer starts on",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )
    return ok(f"version {version}") if version else unknown("the engine does not say which version")


def room(folder: Path) -> Answer:
    """Whether there is room where the engine keeps images."""
    if not folder.exists():  # on the disk of Docker's virtual machine
        return unknown(f"{folder} is not on this machine's disk", f"see that the engine has {DISK_GIB} GiB")
    return disk(folder, DISK_GIB)


def _engine() -> dict[str, Any]:
    try:
        return dict(json.loads(output(["docker", "info", "--format", "{{json .}}"])))
    except ProgramError as error:
        raise UserError(str(error), remedy=ENGINE) from error
