"""What training may ask of a Kubernetes cluster: the section `[job]`, read when the launcher is `kubernetes`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopline.config.section import Section, at_least, require
from hopline.runtime.places import is_remote

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_QUANTITY = re.compile(r"[1-9][0-9]*(Mi|Gi|Ti)")
# As `kubectl taint` writes it: key[=value]:effect.
_TAINT = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^=:]*))?:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute)")


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
    cpus: int = 2  # cores a worker
    memory: str = "4Gi"  # a worker
    accelerator: str = "nvidia.com/gpu"  # the name of the resource
    accelerators: int = 0  # a worker: one process uses all of them
    node_selector: tuple[str, ...] = ()  # labels such as "cloud.google.com/gke-accelerator=nvidia-l4"
    tolerations: tuple[str, ...] = ()  # taints as kubectl writes them, such as "nvidia.com/gpu=present:NoSchedule"
    max_seconds: int = 0  # the Job is ended when it runs longer; 0 for no limit

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
        for key in ("claim", "secret", "service_account"):
            value = getattr(self, key)
            require(
                not value or _NAME.fullmatch(value) is not None,
                f'job.{key} is "{value}", but Kubernetes names are small letters, digits, "-" and "."',
                f"set job.{key} to the name of an object in the namespace",
            )
        require(
            self.mount.startswith("/") and self.mount != "/",
            f'job.mount is "{self.mount}", but must be the absolute path of a folder',
            "set job.mount to a path such as /data",
        )
        at_least("job.cpus", self.cpus, 1)
        require(
            _QUANTITY.fullmatch(self.memory) is not None,
            f'job.memory is "{self.memory}", but must be a whole number of Mi, Gi or Ti',
            'set job.memory to an amount such as "4Gi"',
        )
        at_least("job.accelerators", self.accelerators, 0)
        at_least("job.max_seconds", self.max_seconds, 0)
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

    @property
    def resources(self) -> dict[str, dict[str, str]]:
        """A worker's resources; it is given what it may use, so that no neighbour makes it slow."""
        amounts = {"cpu": str(self.cpus), "memory": self.memory}
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
