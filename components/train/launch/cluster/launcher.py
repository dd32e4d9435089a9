"""Runs the workers as an Indexed Job on a Kubernetes cluster, and watches it to its end.

The launcher looks every few seconds at what is there and acts on that alone: it keeps nothing in mind that a launcher
started again in its place would miss.  Kubernetes starts fallen workers again; what it does so for, and how often, is
in k8s/base/training-job.yaml.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from components.train.launch.cluster.api import Api, Manifest, UnreachableError, connect
from components.train.launch.cluster.manifests import SPEC_ANNOTATION, Objects, build
from components.train.launch.cluster.task import TaskConfig
from components.train.launch.cluster.watch import SpentError, Watch, condition
from components.train.state import checkpoint
from components.train.state.stored import StoredTraining
from hopline.config.job import JobConfig
from hopline.runtime.errors import HoplineError, PreemptedError, SaveError, UserError

_LOOK_SECONDS = 2.0
_LEAVING_SECONDS = 10.0  # for the last request, when the launcher itself is told to leave


def run_workers(
    arguments: Sequence[str],
    workers: int,
    training: Path | str,
    restarts: int,
    settings: JobConfig,
    task: TaskConfig | None = None,
    *,
    api: Api | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Runs `workers` worker pods until the chief is done; leaves nothing of them in the cluster.

    A Job that an earlier launcher left for the same folder is taken over.  A KeyboardInterrupt here deletes the Job,
    upon which the workers save, and goes on.

    Args:
        arguments: command line of every worker.
        workers: how many pods.
        training: the folder of the checkpoints, on the volume, or its URI.
        restarts: how often Kubernetes starts a worker again.  If the folder can be seen from here and has a newer
            checkpoint by then, as often again.
        settings: the Job's place and resources.
        task: what Kubeflow adds to them.
        api: the cluster; the one around us, or the kubeconfig's, unless given.
        pause: sleeps so many seconds between two looks.

    Raises:
        UserError: the cluster refuses the Job, cannot start it, or has another one for the same folder.
        HoplineError: the failure, as the worker that caused it told it, or how that worker ended.
    """
    if isinstance(training, Path):
        settings.require_mounted("the training folder", training)
    objects = build(settings, training, arguments, workers, restarts, task)
    api = api or connect()
    reached = _newest_step(training)
    while failure := _run_job(api, objects, pause):
        step = _newest_step(training)
        if step <= reached or not isinstance(failure, SpentError) or isinstance(failure.cause, SaveError):
            raise failure
        print(f"train: {failure.message}; but it has come to step {step:,}: once more", file=sys.stderr)
        reached = step


def _newest_step(training: Path | str) -> int:
    if isinstance(training, Path):
        return checkpoint.newest_step(training / checkpoint.FOLDER)
    return StoredTraining(training, Path()).newest_step()


def _run_job(api: Api, objects: Objects, pause: Callable[[float], None]) -> HoplineError | None:
    """Runs the Job once and removes it.  None when training is done, else what failed it."""
    try:
        failure = _watch(api, objects, pause)
    except UnreachableError:
        raise  # the Job goes on, and the next launcher finds it
    except BaseException:
        _remove(api, objects)
        raise
    _remove(api, objects)
    return failure


def _watch(api: Api, objects: Objects, pause: Callable[[float], None]) -> HoplineError | None:
    job, adopted = _create_or_adopt(api, objects, pause)
    uid = job["metadata"]["uid"]
    watch = Watch(api, uid, workers=objects.job["spec"]["completions"], adopted=adopted)
    while True:
        found = api.get("Job", objects.name)
        if found is None or found["metadata"]["uid"] != uid or "deletionTimestamp" in found["metadata"]:
            raise PreemptedError(
                f"the Job {objects.name} was deleted by someone else",
                remedy="run the same command again: it continues from the newest checkpoint",
            )
        watch.look(found)
        if condition(found, "Complete"):
            return None
        if failed := condition(found, "Failed"):
            return watch.failure(failed)
        pause(_LOOK_SECONDS)
        watch.waited(_LOOK_SECONDS)


def _create_or_adopt(api: Api, objects: Objects, pause: Callable[[float], None]) -> tuple[Manifest, bool]:
    """The Job, started, with its Service and policy; and whether an earlier launcher had made it.

    It is made suspended and then owns the other two, so that whatever ends this launcher between two requests, what is
    there goes with the Job.
    """
    owner = _own_pod()
    job, adopted = api.create(_owned(objects.job, owner)), False
    while job is None:
        job, adopted = api.get("Job", objects.name), True
        if job is None or _is_gone(api, objects, job):
            pause(_LOOK_SECONDS)
            job, adopted = api.create(_owned(objects.job, owner)), False
    if condition(job, "Complete") or condition(job, "Failed"):
        return job, adopted
    reference = _reference("batch/v1", "Job", objects.name, job["metadata"]["uid"])
    for manifest in (objects.service, objects.policy):
        _create_owned(api, _owned(manifest, [reference]), pause)
    started = api.patch("Job", objects.name, {"metadata": {"ownerReferences": owner}, "spec": {"suspend": False}})
    how = "goes on with" if adopted else "started"
    print(f"train: {how} Job {objects.name} in namespace {api.namespace}", file=sys.stderr)
    return started or job, adopted


def _is_gone(api: Api, objects: Objects, job: Manifest) -> bool:
    """Whether the Job of our name is, or will be, out of the way.

    Raises:
        UserError: it runs, and is another than ours.
    """
    if "deletionTimestamp" in job["metadata"]:
        return True
    if _is_ours(objects, job):
        return False
    if condition(job, "Complete") or condition(job, "Failed"):
        api.delete("Job", objects.name, job["metadata"]["uid"])
        return True
    raise UserError(
        f"the Job {objects.name} in namespace {api.namespace} trains in the same folder with other settings",
        remedy=f"wait for its end, or stop it: kubectl delete job {objects.name} --namespace {api.namespace}",
    )


def _create_owned(api: Api, manifest: Manifest, pause: Callable[[float], None]) -> None:
    """Creates the object, or finds it; one that an earlier Job of our name has left is removed first."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    owner = manifest["metadata"]["ownerReferences"][0]["uid"]
    while api.create(manifest) is None:
        found = api.get(kind, name)
        if found and owner in [reference["uid"] for reference in found["metadata"].get("ownerReferences", [])]:
            return
        if found:
            api.delete(kind, name, found["metadata"]["uid"])
        pause(_LOOK_SECONDS)


def _remove(api: Api, objects: Objects) -> None:
    """Deletes our Job, and with it all it owns.  What went before matters more than if this fails."""
    try:
        job = api.get("Job", objects.name, patience=_LEAVING_SECONDS)
        if job and _is_ours(objects, job):
            api.delete("Job", objects.name, job["metadata"]["uid"], patience=_LEAVING_SECONDS)
    except HoplineError as error:
        print(f"train: the Job {objects.name} may be left in the cluster: {error.message}", file=sys.stderr)


def _is_ours(objects: Objects, job: Manifest) -> bool:
    wanted = objects.job["metadata"]["annotations"][SPEC_ANNOTATION]
    return bool(job["metadata"].get("annotations", {}).get(SPEC_ANNOTATION) == wanted)


def _own_pod() -> list[Manifest]:
    """The pod that this launcher runs in, if it does: when that is deleted, as with its run, so is the Job.

    Kubeflow says which it is by KFP_POD_NAME and KFP_POD_UID; another pod says so by POD_NAME and POD_UID.
    """
    for prefix in ("", "KFP_"):
        name, uid = os.environ.get(f"{prefix}POD_NAME"), os.environ.get(f"{prefix}POD_UID")
        if name and uid:
            return [_reference("v1", "Pod", name, uid)]
    return []


def _reference(version: str, kind: str, name: str, uid: str) -> Manifest:
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid}


def _owned(manifest: Manifest, owners: list[Manifest]) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": owners}}
