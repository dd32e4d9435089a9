"""What training may ask of a Kubernetes cluster: the section `[job]`, read when the launcher is `kubernetes`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hopline.config.section import Section, at_least, require
from hopline.runtime.places import is_remote

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_QUANTITY = re.compile(r"[1-9][0-9]*(Mi|Gi|Ti)")
_CPUS = re.compile(r"0*[1-9][0-9]*m|(?=.*[1-9])[0-9]+(\.[0-9]+)?")
# What Kubernetes takes for the value of a label, and for the name of most objects.
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# As `kubectl taint` writes it: key[=value]:effect.
_TAINT = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^=:]*))?:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute)")
_TAKEN = ("", "/tmp", "/dev/shm")  # noqa: S108 -- the root; what else k8s/base/training-job.yaml and manifests mount


@dataclass(frozen=True, kw_only=True)
class JobConfig(Section):
    """Where the Job's workers meet, what each of them gets, and as whom they run.

    They meet on a volume (`claim`) or in an object store (`store`): the launcher `kubernetes` needs one of the two.
    """

    name = "job"

    claim: str = ""  # PersistentVolumeClaim with examples and checkpoints, which all workers can write
    mount: str = "/data"  # where it is mounted, in the workers as in the launcher
    store: str = ""  # instead of a claim: gs://bucket/prefix or s3://bucket/prefix
    secret: str = ""  # a Secret whose keys become the workers' environment, such as AWS_ACCESS_KEY_ID
    service_account: str = "hopline-worker"  # of the workers; what it may do in a cloud is bound to its name
    image: str = ""  # "" for that of the train step
    cpus: str = "2"  # cores a worker, as a number or as Kubernetes writes them: "500m"
    memory: str = "4Gi"  # a worker
    scratch: str = "4Gi"  # disk a worker: it is asked for on the node, and a worker that takes more is ended
    accelerator: str = "nvidia.com/gpu"  # the name of the resource
    accelerators: int = 0  # a worker: one process uses all of them
    node_selector: tuple[str, ...] = ()  # labels such as "cloud.google.com/gke-accelerator=nvidia-l4"
    tolerations: tuple[str, ...] = ()  # taints as kubectl writes them, such as "nvidia.com/gpu=present:NoSchedule"
    pull_secrets: tuple[str, ...] = ()  # Secrets by which nodes pull the image; those of [cluster] unless given
    priority_class: str = ""  # PriorityClass of the workers' pods
    queue: str = ""  # LocalQueue of Kueue, which then decides when the Job starts; "" for at once
    queue_priority: str = ""  # WorkloadPriorityClass in that queue
    max_seconds: int = 172_800  # the Job is ended when it runs longer; 0 for no limit
    start_seconds: int = 3600  # that workers may wait for a node; 0 for no limit
    disruptions: int = 10  # that a worker may suffer (evictions, drained nodes) before the Job must have advanced

    def __post_init__(self) -> None:
        require(
            not (self.claim and self.store),
            f'job.claim is "{self.claim}" and job.store is "{self.store}", but workers meet in one place',
            "set one of the two",
        )
        require(
            not self.store or is_remote(self.store),
            f'job.store is "{self.store}", but must be a place in an object store',
            "write gs://bucket/prefix or s3://bucket/prefix",
        )
        named = [(key, getattr(self, key)) for key in ("claim", "secret", "service_account", "priority_class")]
        for key, value in [*named, *(("pull_secrets", secret) for secret in self.pull_secrets)]:
            require(
                not value or _NAME.fullmatch(value) is not None,
                f'job.{key} is "{value}", but Kubernetes names are small letters, digits, "-" and "."',
                f"set job.{key} to the name of an object in the namespace",
            )
        require(
            self.mount.startswith("/") and self.mount.rstrip("/") not in _TAKEN,
            f'job.mount is "{self.mount}", but must be the absolute path of a folder that pods do not have yet',
            "set job.mount to a path such as /data",
        )
        self._check_amounts()
        for key in ("queue", "queue_priority"):
            value = getattr(self, key)
            require(
                not value or _LABEL.fullmatch(value) is not None,
                f'job.{key} is "{value}", but must be a label\'s value',
                f"set job.{key} to the name of an object of Kueue",
            )
        require(
            bool(self.queue) or not self.queue_priority,
            f'job.queue_priority is "{self.queue_priority}", but there is no job.queue in which it counts',
            "set job.queue, or job.priority_class for the pods alone",
        )
        for label in self.node_selector:
            require(
                re.fullmatch(r"[^=]+=[^=]*", label) is not None,
                f'job.node_selector has "{label}", but a label is key=value',
                'write, for example, "disktype=ssd"',
            )
        for taint in self.tolerations:
            require(
                _TAINT.fullmatch(taint) is not None,
                f'job.tolerations has "{taint}", but a taint is key=value:effect or key:effect',
                'write, for example, "nvidia.com/gpu=present:NoSchedule"',
            )

    def _check_amounts(self) -> None:
        require(
            _CPUS.fullmatch(self.cpus) is not None,
            f'job.cpus is "{self.cpus}", but must be a number of cores above 0',
            'set job.cpus to one such as 2 or "500m"',
        )
        for key in ("memory", "scratch"):
            value = getattr(self, key)
            require(
                _QUANTITY.fullmatch(value) is not None,
                f'job.{key} is "{value}", but must be a whole number of Mi, Gi or Ti',
                f'set job.{key} to an amount such as "4Gi"',
            )
        at_least("job.accelerators", self.accelerators, 0)
        at_least("job.max_seconds", self.max_seconds, 0)
        at_least("job.start_seconds", self.start_seconds, 0)
        at_least("job.disruptions", self.disruptions, 0)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """As every section; `cpus` may be a number, since most people write 2 and not "2"."""
        cpus = values.get("cpus")
        if isinstance(cpus, int | float) and not isinstance(cpus, bool):
            values = {**values, "cpus": str(cpus)}
        return super().from_mapping(values)

    @property
    def cores(self) -> int:
        """The whole cores of `cpus`, one at the least."""
        return max(1, int(self.cpus[:-1]) // 1000 if self.cpus.endswith("m") else int(float(self.cpus)))

    @property
    def resources(self) -> dict[str, dict[str, str]]:
        """A worker's resources; it is given what it may use, so that no neighbour makes it slow."""
        amounts = {"cpu": self.cpus, "memory": self.memory, "ephemeral-storage": self.scratch}
        if self.accelerators:
            amounts[self.accelerator] = str(self.accelerators)
        return {"requests": amounts, "limits": dict(amounts)}

    @property
    def node_labels(self) -> dict[str, str]:
        """`node_selector` as Kubernetes has it."""
        return dict(label.split("=") for label in self.node_selector)

    @property
    def tolerated(self) -> list[dict[str, Any]]:
        """`tolerations` as Kubernetes has them."""
        found = []
        for taint in self.tolerations:
            match = _TAINT.fullmatch(taint)
            assert match
            value = match["value"]
            how = {"operator": "Exists"} if value is None else {"operator": "Equal", "value": value}
            found.append({"key": match["key"], **how, "effect": match["effect"]})
        return found

    def require_place(self) -> None:
        """Raises `UserError`: there is no place where the workers could meet."""
        require(
            bool(self.claim or self.store),
            "job.claim and job.store are empty, but workers on a cluster need a place to meet",
            "set job.claim to a PersistentVolumeClaim, or job.store to gs://bucket/prefix or s3://bucket/prefix",
        )

    def require_mounted(self, name: str, path: Path) -> None:
        """Raises `UserError`: `path`, which the user calls `name`, must be on the volume."""
        require(self.claim != "", f"{name} is {path}, but there is no job.claim that holds it", "set job.claim")
        require(
            path.is_relative_to(self.mount) and ".." not in path.parts,
            f"{name} is {path}, but workers on the cluster only see what is below job.mount = {self.mount}",
            f"put it below {self.mount}, or set job.mount",
        )
