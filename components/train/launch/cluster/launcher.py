"""Runs the workers as an Indexed Job on a Kubernetes cluster, and watches it to its end.

The launcher looks every few seconds at what is there and acts on that alone: it keeps nothing in mind that a launcher
started again in its place would miss.  Kubernetes starts failed workers again; what it does so for, and how often, is
in k8s/base/training-job.yaml.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from components.train.launch.cluster import kueue, resize
from components.train.launch.cluster.api import Api, Manifest, UnreachableError, connect
from components.train.launch.cluster.holders import adopt, others, own_pod, owned, reference, release
from components.train.launch.cluster.manifests import SPEC_ANNOTATION, Objects, build
from components.train.launch.cluster.resize import Requests, ResizedError, remember, remembered
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
    allowed: Callable[[int], bool] = lambda workers: True,
    api: Api | None = None,
    own: Manifest | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Runs `workers` worker pods until the chief is done; leaves nothing of them in the cluster.

    A Job that an earlier launcher left for the same folder is taken over, and one that another launcher watches is
    watched by both (`holders`).  A KeyboardInterrupt here deletes the Job unless another launcher holds it; the workers
    then save; and the interrupt goes on.  Another number of workers may be asked for while they work (`resize`);
    where the folder can be seen from here, it counts for a launcher that is started again as well.

    Args:
        arguments: command line of every worker.
        workers: how many pods.
        training: the folder of the checkpoints, on the volume, or its URI.
        restarts: how often Kubernetes starts a worker again.  If the folder can be seen from here and has a newer
            checkpoint by then, as often again.
        settings: the Job's place and resources.
        task: what Kubeflow adds to them.
        allowed: whether training can go on with so many workers.
        api: the cluster; the one around us, or the kubeconfig's, unless given.
        own: reference to the launcher's pod; as the environment has it, unless given.
        pause: sleeps so many seconds between two looks.

    Raises:
        UserError: the cluster refuses the Job, cannot start it, or has another one for the same folder.
        HoplineError: the failure, as the worker that caused it reported it, or how that worker ended.
    """
    if isinstance(training, Path):
        settings.require_mounted("the training folder", training)
    first = remembered(training, workers, allowed)
    launch = _Launch(
        api=api or connect(),
        build=lambda count: build(settings, training, arguments, count, restarts, task),
        configured=workers,
        workers=first,
        resized=first != workers,
        requests=Requests(allowed),
        settings=settings,
        training=training,
        own=own or own_pod(),
        pause=pause,
    )
    reached, judged = _newest_step(training), set[str]()
    while failure := _run_job(launch, judged):
        if isinstance(failure, ResizedError):
            print(f"train: {failure.message}: training goes on from its newest checkpoint", file=sys.stderr)
            remember(training, failure.workers)
            launch = replace(launch, workers=failure.workers, resized=True)
            continue
        step = _newest_step(training)
        if step <= reached or not isinstance(failure, SpentError) or isinstance(failure.cause, SaveError):
            raise failure
        print(f"train: {failure.message}; but it has come to step {step:,}: once more", file=sys.stderr)
        reached = step
    remember(training, None)


@dataclass(frozen=True, kw_only=True)
class _Launch:
    """What the launcher works with.

    Attributes:
        api: the cluster.
        build: what is wanted in it, for a number of workers.
        configured: the number of workers that the run was given.
        workers: the number that a Job is made with.
        resized: whether somebody has asked for that number.
        requests: for another number.
        settings: of the Job.
        training: folder or URI of the checkpoints.
        own: reference to the launcher's pod, None outside of a cluster.
        pause: sleeps so many seconds.
    """

    api: Api
    build: Callable[[int], Objects]
    configured: int
    workers: int
    resized: bool = False
    requests: Requests
    settings: JobConfig
    training: Path | str
    own: Manifest | None
    pause: Callable[[float], None]

    @cached_property
    def objects(self) -> Objects:
        """What is wanted in the cluster."""
        return self.build(self.workers)

    def is_ours(self, job: Manifest) -> bool:
        """Whether the Job is what this launcher would make, but for a number of workers that was asked for."""
        workers = int(job["spec"]["completions"])
        if workers not in (self.configured, self.workers) and not resize.is_resized(job):
            return False
        wanted = self.build(workers).job["metadata"]["annotations"][SPEC_ANNOTATION]
        return bool(job["metadata"].get("annotations", {}).get(SPEC_ANNOTATION) == wanted)


def _newest_step(training: Path | str) -> int:
    if isinstance(training, Path):
        return checkpoint.newest_step(training / checkpoint.FOLDER)
    return StoredTraining(training, Path()).newest_step()


def _is_finished(training: Path | str) -> bool:
    """Whether training there is over, by its newest checkpoint."""
    if isinstance(training, Path):
        return checkpoint.is_finished(training / checkpoint.FOLDER)
    return StoredTraining(training, Path()).is_finished()


def _run_job(launch: _Launch, judged: set[str]) -> HoplineError | None:
    """Runs the Job once and gives it up.  None when training is done, else what failed it.

    Args:
        launch: what to work with.
        judged: uids of Jobs that were given up before; this one's is added.
    """
    job: Manifest | None = None
    try:
        job, adopted = _create_or_adopt(launch, judged)
        failure = _watch(launch, job, adopted=adopted)
    except UnreachableError:
        raise  # the Job goes on, and the next launcher finds it
    except BaseException:
        _leave(launch, job)
        raise
    if isinstance(failure, ResizedError):  # whoever else holds the Job goes on with the next one as well
        launch.api.delete("Job", launch.objects.name, job["metadata"]["uid"])
    else:
        _leave(launch, job)
    judged.add(job["metadata"]["uid"])
    return failure


def _leave(launch: _Launch, job: Manifest | None) -> None:
    """Gives up the Job, or what an interrupted `_create_or_adopt` may have made of it."""
    api, name = launch.api, launch.objects.name
    if job is None:
        try:
            job = api.get("Job", name, patience=_LEAVING_SECONDS)
        except HoplineError as error:
            print(f"train: the Job {name} may be left in the cluster: {error.message}", file=sys.stderr)
    if job and launch.is_ours(job):
        release(api, name, job["metadata"]["uid"], launch.own)


def _watch(launch: _Launch, job: Manifest, *, adopted: bool) -> HoplineError | None:
    uid = job["metadata"]["uid"]
    watch = Watch(
        launch.api,
        uid,
        workers=job["spec"]["completions"],
        adopted=adopted,
        start_seconds=launch.settings.start_seconds,
        disruptions=launch.settings.disruptions,
    )
    while True:
        found = launch.api.get("Job", launch.objects.name)
        if found is None or found["metadata"]["uid"] != uid or "deletionTimestamp" in found["metadata"]:
            if resized := _replaced(launch, found):
                return resized
            if _is_finished(launch.training):  # another launcher saw the end first, and removed the Job
                return None
            raise PreemptedError(
                f"the Job {launch.objects.name} was deleted by someone else",
                remedy="run the same command again: it continues from the newest checkpoint",
            )
        watch.look(found)
        if condition(found, "Complete"):
            return None
        if failed := condition(found, "Failed"):
            return watch.failure(failed)
        if spent := watch.spent():
            return spent
        if (workers := launch.requests.number(found)) != found["spec"]["completions"]:
            return ResizedError(workers)
        launch.pause(_LOOK_SECONDS)
        watch.waited(_LOOK_SECONDS)


def _replaced(launch: _Launch, found: Manifest | None) -> ResizedError | None:
    """The request by which another launcher replaces the Job, or has replaced it by `found`; None if none did."""
    if found is None:  # between the two there is none
        launch.pause(_LOOK_SECONDS)
        found = launch.api.get("Job", launch.objects.name)
    if found is None or not resize.is_resized(found):
        return None
    return ResizedError(launch.requests.number(found))


def _create_or_adopt(launch: _Launch, judged: set[str]) -> tuple[Manifest, bool]:
    """The Job, started, with its Service and policy; and whether another launcher had made it.

    It is made suspended and then owns the other two, so that whatever ends this launcher between two requests, what is
    there goes with the Job.
    """
    api, objects = launch.api, launch.objects
    made = owned(objects.job, [launch.own] if launch.own else [])
    made = resize.annotated(made, launch.workers) if launch.resized else made
    while True:
        job, adopted = api.create(made), False
        if job is None:
            job, adopted = api.get("Job", objects.name), True
        if job is None or (adopted and _is_gone(launch, job, judged)):
            launch.pause(_LOOK_SECONDS)
            continue
        if condition(job, "Complete") or condition(job, "Failed"):
            return job, adopted
        uid = job["metadata"]["uid"]
        for manifest in (objects.service, objects.policy):
            _create_owned(api, owned(manifest, [reference("batch/v1", "Job", objects.name, uid)]), launch.pause)
        started = adopt(api, objects.name, uid, launch.own, kueue.start(job, launch.settings))
        if adopted and started is None:  # the launcher that had made it removed it before it knew of this one
            launch.pause(_LOOK_SECONDS)
            continue
        how = "goes on with" if adopted else "queued" if started and kueue.queue_of(started) else "started"
        print(f"train: {how} Job {objects.name} in namespace {api.namespace}", file=sys.stderr)
        return started or job, adopted


def _is_gone(launch: _Launch, job: Manifest, judged: set[str]) -> bool:
    """Whether the Job of our name is, or will be, out of the way.

    One that has ended and is not the one to watch is removed, once no other launcher has its end still to see.

    Raises:
        UserError: it runs, and is another than ours.
    """
    api, objects, metadata = launch.api, launch.objects, job["metadata"]
    if "deletionTimestamp" in metadata:
        return True
    known = metadata["uid"] in judged
    if launch.is_ours(job) and not known:
        return False
    if known or condition(job, "Complete") or condition(job, "Failed"):
        if not others(api, job, launch.own):
            api.delete("Job", objects.name, metadata["uid"], metadata["resourceVersion"])
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
