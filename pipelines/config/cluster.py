"""The section [cluster]: how the pipeline runs on Kubeflow.  It is compiled into the pipeline, no step sees it."""

import re
from dataclasses import dataclass

from hopline.config.section import Section, at_least, one_of, require
from hopline.runtime.version import VERSION

_QUANTITIES = {
    "cpu": re.compile(r"[0-9]+m|[0-9]+(\.[0-9]+)?"),
    "memory": re.compile(r"[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?"),
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class ClusterConfig(Section):
    """Where things lie on a cluster, and what its pods may use."""

    name = "cluster"

    registry: str = ""  # gs://bucket/path, s3://bucket/path, or a folder below `mount`
    experiment: str = "hopline"  # of Kubeflow, where runs are listed together
    launcher: str = "local"  # of training: workers in the step's own pod, or "kubernetes", a Job of their own
    service_account: str = ""  # of the pods; "" is Kubeflow's own
    secret: str = ""  # a Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and others like them
    webhook_secret: str = ""  # a Secret with HOPLINE_WEBHOOK_URL, which gets a POST when a run fails
    claim: str = ""  # a PersistentVolumeClaim that every step finds at `mount`
    mount: str = "/data"
    image_prefix: str = ""  # before the images' names, such as registry.example/team/
    tag: str = VERSION  # of the images; for code between two versions the commit, see `make images`
    pull_policy: str = "IfNotPresent"
    cpu: str = "1"  # CPU request of preprocess, train, evaluate; no limit, so they may use idle cores
    memory: str = "4Gi"  # for the same, and never more
    launcher_cpu: str = "500m"  # of the train step's own pod while a Job's workers train: it fetches and exports
    launcher_memory: str = "4Gi"  # for the same, and never more
    pull_secrets: tuple[str, ...] = ()  # Secrets by which nodes pull the images
    retries: int = 0  # of a failed step; Kubeflow cannot tell a user's fault from a passing one
    step_seconds: int = 43_200  # of a step's pod, but for train; 0 for no limit
    train_seconds: int = 216_000  # of the train step's pod; 0 for no limit
    max_seconds: int = 259_200  # of a run; 0 for no limit
    keep_seconds: int = 604_800  # after a run's end its workflow, pods and their logs are removed; 0 for never

    def __post_init__(self) -> None:
        one_of("cluster.launcher", self.launcher, ("local", "kubernetes"))
        one_of("cluster.pull_policy", self.pull_policy, ("Always", "IfNotPresent", "Never"))
        require(self.experiment.strip() != "", "cluster.experiment is empty", "set cluster.experiment to a name")
        named = [(key, getattr(self, key)) for key in ("service_account", "secret", "webhook_secret", "claim")]
        for key, value in [*named, *(("pull_secrets", secret) for secret in self.pull_secrets)]:
            require(
                not value or _NAME.fullmatch(value) is not None,
                f'cluster.{key} is "{value}", but must be the name of an object of Kubernetes',
                f"set cluster.{key} to lower-case letters, digits, dashes and dots",
            )
        for key in ("cpu", "launcher_cpu", "memory", "launcher_memory"):
            value, kind = getattr(self, key), key.removeprefix("launcher_")
            require(
                _QUANTITIES[kind].fullmatch(value) is not None,
                f'cluster.{key} is "{value}", but must be a quantity of Kubernetes',
                f"set cluster.{key} to one such as {'500m' if kind == 'cpu' else '4Gi'}",
            )
        require(
            _TAG.fullmatch(self.tag) is not None and self.tag != "latest",
            f'cluster.tag is "{self.tag}", but must be a tag that never moves',
            "set cluster.tag to a version or a commit",
        )
        require(
            self.mount.startswith("/") and self.mount != "/",
            f'cluster.mount is "{self.mount}", but must be an absolute path below /',
            "set cluster.mount, for example, to /data",
        )
        for key in ("retries", "step_seconds", "train_seconds", "max_seconds", "keep_seconds"):
            at_least(f"cluster.{key}", getattr(self, key), 0)

    @property
    def cores(self) -> int:
        """The processors of `cpu`, one at the least."""
        return max(1, int(self.cpu[:-1]) // 1000 if self.cpu.endswith("m") else int(float(self.cpu)))
