"""What Kubeflow says of the train task (`dsl.TaskConfig`), for the workers rather than for the launcher's pod.

What counts, highest first:

1. What training itself sets: hosts, mounts, the place to meet.  A task that would change it is refused.
2. What is set on the Kubeflow task.  Of a resource that it gives a request or a limit alone, that is the other as well.
3. `[job]`.

Node labels, tolerations, environment and volumes of 2 and 3 add up; where both have a label, 2 wins.
"""

import json
from dataclasses import dataclass, field, fields
from typing import Any, Self

from hopline.config.section import require
from hopline.runtime.errors import UserError

Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """The settings, as parts of a Kubernetes pod; empty without Kubeflow."""

    affinity: Manifest = field(default_factory=dict)
    tolerations: list[Manifest] = field(default_factory=list)
    node_selector: dict[str, str] = field(default_factory=dict)
    env: list[Manifest] = field(default_factory=list)
    volumes: list[Manifest] = field(default_factory=list)
    volume_mounts: list[Manifest] = field(default_factory=list)
    resources: Manifest = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what the step's declaration makes of kfp's `TaskConfig`; null, as Kubeflow has it, is empty.

        Raises:
            UserError: it is something else.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise _unknown(f"it is not JSON: {error}") from error
        kinds = {f.name: f.default_factory for f in fields(cls)}
        if not isinstance(values, dict) or not values.keys() <= kinds.keys():
            raise _unknown(f"its keys are not of {', '.join(kinds)}")
        given = {name: value for name, value in values.items() if value is not None}
        for name, value in given.items():
            if not isinstance(value, kinds[name]):  # type: ignore[arg-type]
                raise _unknown(f"{name} is {value!r}")
            if isinstance(value, list) and not all(isinstance(item, dict) for item in value):
                raise _unknown(f"{name} has {value!r}, but is a list of objects")
        resources = given.get("resources", {})
        amounts = [resources.get(kind, {}) for kind in ("limits", "requests")]
        if not resources.keys() <= {"limits", "requests", "claims"} or not all(isinstance(a, dict) for a in amounts):
            raise _unknown(f"resources is {resources!r}")
        return cls(**given)

    def amounts(self, job: Manifest) -> Manifest:
        """A worker's resources: the task's, and those of `job` that it does not name."""
        limits, requests = (dict(self.resources.get(kind) or {}) for kind in ("limits", "requests"))
        return {
            "limits": {**job["limits"], **requests, **limits},
            "requests": {**job["requests"], **limits, **requests},
        }

    def fill(self, pod: Manifest) -> None:
        """Adds nodes, environment and volumes to `pod`, a worker's specification that is complete otherwise."""
        if self.affinity:
            pod["affinity"] = self.affinity
        if self.node_selector:
            pod["nodeSelector"] = {**pod.get("nodeSelector", {}), **self.node_selector}
        if self.tolerations:
            pod["tolerations"] = [*pod.get("tolerations", []), *self.tolerations]
        (container,) = pod["containers"]
        taken = {entry["name"] for entry in container["env"]}
        for entry in self.env:
            require(
                entry["name"] not in taken,
                f"the train task sets {entry['name']}, which the launcher sets",
                "remove it from the task",
            )
        container["env"] += self.env
        self._fill_volumes(pod, container)

    def _fill_volumes(self, pod: Manifest, container: Manifest) -> None:
        volumes = {volume["name"]: volume for volume in self.volumes}
        ours = {volume["name"]: volume for volume in pod["volumes"]}
        at = {mount["mountPath"]: ours[mount["name"]] for mount in container["volumeMounts"]}
        names: dict[str, str] = {}
        for mount in self.volume_mounts:
            volume, place = volumes[mount["name"]], mount["mountPath"]
            if place in at:
                claim = volume.get("persistentVolumeClaim")
                require(
                    claim is not None and claim == at[place].get("persistentVolumeClaim"),
                    f"the train task mounts {volume['name']} at {place}, where a worker has something else",
                    f"mount it at another path than {place}, or set job.mount",
                )
                continue  # the launcher sees the volume of job.claim by the same mount
            if volume["name"] not in names:  # names of its own, since ours may be the same
                names[volume["name"]] = f"task-{len(names)}"
                pod["volumes"].append({**volume, "name": names[volume["name"]]})
            container["volumeMounts"].append({**mount, "name": names[volume["name"]]})


def _unknown(why: str) -> UserError:
    return UserError(
        f"the train task's configuration is none that Kubeflow makes: {why}",
        remedy="use Kubeflow Pipelines 2.15 or newer, or leave --task-config out",
    )
