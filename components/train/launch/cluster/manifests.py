"""The objects of one training run, from the template that people read: k8s/base/training-job.yaml."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes.utils import parse_quantity

from components.images import TRAIN
from components.train.launch.cluster.task import TaskConfig
from components.train.worker import CLUSTER_VARIABLE
from hopline.config.job import JobConfig
from hopline.runtime.errors import UserError

Manifest = dict[str, Any]

TEMPLATE = Path(__file__).parents[4] / "k8s" / "base" / "training-job.yaml"
JOB_LABEL = "batch.kubernetes.io/job-name"  # Kubernetes puts it on a Job's pods
_DATA = "data"  # the template's volume for a claim
_SCRATCH = "/tmp"  # noqa: S108  of the pod alone
SPEC_ANNOTATION = "hopline/spec"  # SHA-256 of what the launcher asked for


@dataclass(frozen=True)
class Objects:
    """What one run consists of in the cluster."""

    job: Manifest
    service: Manifest
    policy: Manifest

    @property
    def name(self) -> str:
        """The name that all three have."""
        return str(self.job["metadata"]["name"])


def job_name(claim: str, training: Path | str) -> str:
    """The name of the Job that trains in the folder `training` of the volume `claim`, or at the URI `training`.

    A function of the place alone, because a place must have one writer: the API server takes no second Job of a name.
    The train step's folder has the step's content key in its path.
    """
    return "hopline-train-" + hashlib.sha256(f"{claim}\0{training}".encode()).hexdigest()[:12]


def build(
    settings: JobConfig,
    training: Path | str,
    arguments: Sequence[str],
    workers: int,
    restarts: int,
    task: TaskConfig | None = None,
) -> Objects:
    """The objects for `workers` workers that are started again `restarts` times.

    Args:
        settings: image, resources, place.
        training: the group's folder, as the workers see it, or its URI.
        arguments: command line of every worker, but for what is the pod's own.
        workers: pods of the Job.
        restarts: of each worker.
        task: what Kubeflow adds (`components.train.launch.cluster.task` says what counts).

    Raises:
        UserError: `task` would change what the workers need.
    """
    job, service, policy = yaml.safe_load_all(TEMPLATE.read_text(encoding="utf-8"))
    name = job_name(settings.claim, training)
    for manifest in (job, service, policy):
        manifest["metadata"]["name"] = name
    mine = {JOB_LABEL: name}
    service["spec"]["selector"] = mine
    policy["spec"]["podSelector"]["matchLabels"] = mine
    policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"] = mine

    spec = job["spec"]
    spec["completions"] = spec["parallelism"] = workers
    spec["backoffLimitPerIndex"] = restarts
    if settings.max_seconds:
        spec["activeDeadlineSeconds"] = settings.max_seconds
    pod = spec["template"]["spec"]
    pod["subdomain"] = name
    pod["serviceAccountName"] = settings.service_account
    pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] = mine
    if settings.node_selector:
        pod["nodeSelector"] = settings.node_labels
    if settings.tolerations:
        pod["tolerations"] = settings.tolerated
    if settings.pull_secrets:
        pod["imagePullSecrets"] = [{"name": secret} for secret in settings.pull_secrets]
    if settings.priority_class:
        pod["priorityClassName"] = settings.priority_class
    (container,) = pod["containers"]
    task = task or TaskConfig()
    container["image"] = settings.image or TRAIN
    container["env"] = [
        {"name": CLUSTER_VARIABLE, "value": ",".join(_hosts(name, workers, service["spec"]["ports"][0]["port"]))}
    ]
    if settings.secret:
        container["envFrom"] = [{"secretRef": {"name": settings.secret}}]
    container["resources"] = task.amounts(settings.resources)
    _fill_volumes(pod, container, settings, training)
    _fill_arguments(container, training, arguments)
    task.fill(pod)
    job["metadata"]["annotations"] = {SPEC_ANNOTATION: _digest(job)}
    return Objects(job, service, policy)


def _fill_volumes(pod: Manifest, container: Manifest, settings: JobConfig, training: Path | str) -> None:
    mounts, volumes = container["volumeMounts"], pod["volumes"]
    tmp = next(volume for volume in volumes if volume["name"] == "tmp")
    tmp["emptyDir"]["sizeLimit"] = settings.scratch
    if isinstance(training, Path):
        next(mount for mount in mounts if mount["name"] == _DATA)["mountPath"] = settings.mount
        data = next(volume for volume in volumes if volume["name"] == _DATA)
        data["persistentVolumeClaim"]["claimName"] = settings.claim
    else:
        container["volumeMounts"] = [mount for mount in mounts if mount["name"] != _DATA]
        pod["volumes"] = [volume for volume in volumes if volume["name"] != _DATA]
    if _accelerators(container):  # the 64 MiB that a container has are too few for NCCL
        pod["volumes"].append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": settings.memory}})
        container["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108


def _fill_arguments(container: Manifest, training: Path | str, arguments: Sequence[str]) -> None:
    own = Path(container["terminationMessagePath"]).parent
    # As many threads as it has cores, and not as its node has: the order of sums, and so the last bit, depends on it.
    threads = max(1, math.floor(_amount("cpu", container)))
    options = ["--training-dir", str(training), "--work-dir", str(own), "--scratch", _SCRATCH]
    options += ["--threads", str(threads), "--accelerators", str(_accelerators(container))]
    # "$(" would be taken for a variable.
    container["args"] = [argument.replace("$(", "$$(") for argument in (*arguments, *options)]


def _accelerators(container: Manifest) -> int:
    """How many devices the container is given; of all resources they alone have a maker in their name."""
    return sum(int(_amount(name, container)) for name in container["resources"]["limits"] if "/" in name)


def _amount(resource: str, container: Manifest) -> float:
    amount = container["resources"]["limits"][resource]
    try:
        return float(parse_quantity(amount))
    except ValueError as error:
        raise UserError(
            f'a worker\'s limit of {resource} is "{amount}", but must be an amount', remedy="write, for example, 2"
        ) from error


def _hosts(name: str, workers: int, port: int) -> list[str]:
    """The workers' names, as Kubernetes makes them for a Job's pods below a Service of the same name."""
    return [f"{name}-{index}.{name}:{port}" for index in range(workers)]


def _digest(job: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
