"""The objects of one training run, from the template that people read: k8s/base/training-job.yaml."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.train.cluster.settings import JobSettings
from components.train.worker import CLUSTER_VARIABLE

Manifest = dict[str, Any]

TEMPLATE = Path(__file__).parents[3] / "k8s" / "base" / "training-job.yaml"
JOB_LABEL = "batch.kubernetes.io/job-name"  # Kubernetes puts it on a Job's pods
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


def job_name(claim: str, training: Path) -> str:
    """The name of the Job that trains in the folder `training` of the volume `claim`.

    A function of the place alone, because a place must have one writer: the API server takes no second Job of a name.
    The train step's folder has the step's content key in its path.
    """
    return "hopline-train-" + hashlib.sha256(f"{claim}\0{training}".encode()).hexdigest()[:12]


def build(settings: JobSettings, training: Path, arguments: Sequence[str], workers: int, restarts: int) -> Objects:
    """The objects for `workers` workers that are started again `restarts` times.

    Args:
        settings: image, resources, place.
        training: the group's folder, as the workers see it.
        arguments: command line of every worker, but for what is the pod's own.
        workers: pods of the Job.
        restarts: of each worker.
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
    pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] = mine
    if settings.node_selector:
        pod["nodeSelector"] = settings.node_labels
    if settings.tolerations:
        pod["tolerations"] = settings.tolerated
    _fill_container(pod, settings, training, arguments, _hosts(name, workers, service["spec"]["ports"][0]["port"]))
    job["metadata"]["annotations"] = {SPEC_ANNOTATION: _digest(job)}
    return Objects(job, service, policy)


def _fill_container(
    pod: Manifest, settings: JobSettings, training: Path, arguments: Sequence[str], hosts: Sequence[str]
) -> None:
    (container,) = pod["containers"]
    container["image"] = settings.image
    own = Path(container["terminationMessagePath"]).parent
    # As many threads as it has cores, and not as its node has: the order of sums, and so the last bit, depends on it.
    options = ["--training-dir", str(training), "--work-dir", str(own), "--threads", str(settings.cpus)]
    # "$(" would be taken for a variable.
    container["args"] = [argument.replace("$(", "$$(") for argument in (*arguments, *options)]
    container["env"] = [{"name": CLUSTER_VARIABLE, "value": ",".join(hosts)}]
    container["resources"] = settings.resources
    next(mount for mount in container["volumeMounts"] if mount["name"] == "data")["mountPath"] = settings.mount
    data = next(volume for volume in pod["volumes"] if volume["name"] == "data")
    data["persistentVolumeClaim"]["claimName"] = settings.claim
    if settings.accelerators:  # the 64 MiB that a container has are too few for NCCL
        pod["volumes"].append({"name": "shm", "emptyDir": {"medium": "Memory"}})
        container["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108


def _hosts(name: str, workers: int, port: int) -> list[str]:
    """The workers' names, as Kubernetes makes them for a Job's pods below a Service of the same name."""
    return [f"{name}-{index}.{name}:{port}" for index in range(workers)]


def _digest(job: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()
