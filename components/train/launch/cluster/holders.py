"""Who holds a Job: launchers of several runs may watch one Job, and the last of them removes it.

Two runs with equal examples and settings train in one place, and so have one Job.  A launcher holds the Job by an owner
reference to its own pod.  When it leaves, it takes that reference away; it deletes the Job only if no other launcher
holds it.  Each change names the version of the Job that it was decided upon, so that of two launchers that leave at the
same time the second one decides anew.  A reference to a pod that has ended holds nothing: Kubernetes keeps such pods,
and with them the reference.

A launcher outside of a cluster has no pod and holds nothing: another launcher may remove the Job under it.
"""

import os
import sys
from typing import Any

from components.train.launch.cluster.api import Api
from hopline.runtime.errors import HoplineError, InternalError

Manifest = dict[str, Any]

_TRIES = 50  # a Job changes a few times a second at most
_LEAVING_SECONDS = 10.0  # for each request, when the launcher itself is told to leave
_ALIVE = {"Pending", "Running", "Unknown"}


def adopt(api: Api, name: str, uid: str, own: Manifest | None, change: Manifest) -> Manifest | None:
    """Adds our reference and `change` to the Job; returns the Job as it is then, None if it is gone.

    Args:
        api: the cluster.
        name: of the Job.
        uid: of the Job that is meant.
        own: reference to the launcher's pod, None outside of a cluster.
        change: to merge into the Job as well; its metadata is completed.
    """
    for _ in range(_TRIES):
        job = api.get("Job", name)
        if job is None or job["metadata"]["uid"] != uid or "deletionTimestamp" in job["metadata"]:
            return None
        metadata = {**change.get("metadata", {}), "resourceVersion": job["metadata"]["resourceVersion"]}
        metadata["ownerReferences"] = [*others(api, job, own), *([own] if own else [])]
        if changed := api.patch("Job", name, {**change, "metadata": metadata}):
            return changed
        api.pause(0.1)
    raise InternalError(f"the Job {name} keeps changing", remedy="run the same command again")


def release(api: Api, name: str, uid: str, own: Manifest | None) -> None:
    """Gives the Job up, and deletes it if no other launcher holds it.  A failure here never hides an earlier one."""
    try:
        for _ in range(_TRIES):
            job = api.get("Job", name, patience=_LEAVING_SECONDS)
            if job is None or job["metadata"]["uid"] != uid or "deletionTimestamp" in job["metadata"]:
                return
            if _try_release(api, job, own):
                return
            api.pause(0.1)
    except HoplineError as error:
        print(f"train: the Job {name} may be left in the cluster: {error.message}", file=sys.stderr)


def _try_release(api: Api, job: Manifest, own: Manifest | None) -> bool:
    """Whether the Job, as it was, could be given up; if not, it has changed meanwhile."""
    name, version = job["metadata"]["name"], job["metadata"]["resourceVersion"]
    kept = others(api, job, own)
    if not kept:
        return api.delete("Job", name, job["metadata"]["uid"], version, patience=_LEAVING_SECONDS)
    if kept == job["metadata"].get("ownerReferences", []):
        return True
    change = {"metadata": {"resourceVersion": version, "ownerReferences": kept}}
    return api.patch("Job", name, change, patience=_LEAVING_SECONDS) is not None


def others(api: Api, job: Manifest, own: Manifest | None) -> list[Manifest]:
    """The references of the Job to launchers that are at work, but for our own."""
    found = []
    for reference in job["metadata"].get("ownerReferences", []):
        mine = own is not None and reference["uid"] == own["uid"]
        if not mine and (reference["kind"] != "Pod" or _is_alive(api, reference)):
            found.append(reference)
    return found


def _is_alive(api: Api, reference: Manifest) -> bool:
    pod = api.pod(reference["name"])
    if pod is None or pod["metadata"]["uid"] != reference["uid"] or "deletionTimestamp" in pod["metadata"]:
        return False
    return pod.get("status", {}).get("phase", "Pending") in _ALIVE


def own_pod() -> Manifest | None:
    """A reference to the pod that this launcher runs in, if it does: the Job goes with the last pod that holds it.

    Kubeflow says which it is by KFP_POD_NAME and KFP_POD_UID; another pod says so by POD_NAME and POD_UID.
    """
    for prefix in ("", "KFP_"):
        name, uid = os.environ.get(f"{prefix}POD_NAME"), os.environ.get(f"{prefix}POD_UID")
        if name and uid:
            return reference("v1", "Pod", name, uid)
    return None


def reference(version: str, kind: str, name: str, uid: str) -> Manifest:
    """An owner reference to the object."""
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid}


def owned(manifest: Manifest, owners: list[Manifest]) -> Manifest:
    """The object, owned by `owners`."""
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": owners}}
