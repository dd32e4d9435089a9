"""What the pods of a Job say: which workers have not started and why, which failed, and which failed first."""

from dataclasses import dataclass
from typing import Any

from hopline.runtime.errors import HoplineError, InternalError, LostPeersError, PreemptedError
from hopline.runtime.process import failure_of, parse_failure

Manifest = dict[str, Any]

_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
# Seconds that a worker may wait for what time alone seldom mends; an image is pulled for the fourth time after 70.
SOON_SECONDS, _LATER_SECONDS = 105.0, 600.0
_STUCK = {
    "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff",
    "InvalidImageName", "RunContainerError",
}  # fmt: skip
_MOUNTS = {"FailedMount", "FailedAttachVolume", "FailedMapVolume"}


@dataclass(frozen=True)
class Obstacle:
    """What keeps a worker from starting.

    Attributes:
        why: in the cluster's words.
        seconds: after which it is an error; 0 for never.
    """

    why: str
    seconds: float


@dataclass(frozen=True)
class WorkerFailure:
    """A worker that failed."""

    worker: int
    pod: str
    error: HoplineError


def worker_of(pod: Manifest) -> int:
    """The index of the pod's worker."""
    return int(pod["metadata"]["labels"][_INDEX_LABEL])


def name_of(pod: Manifest) -> str:
    """The pod's name."""
    return str(pod["metadata"]["name"])


def age_of(pod: Manifest) -> tuple[str, str]:
    """Sorts pods, oldest first."""
    return pod["metadata"]["creationTimestamp"], name_of(pod)


def has_log(pod: Manifest) -> bool:
    """Whether the worker runs or has run."""
    state = _state(pod)
    return "running" in state or "terminated" in state


def obstacle(pod: Manifest) -> Obstacle | None:
    """Why the worker's container cannot start, or no node will ever take the pod; None if nothing is in its way."""
    waiting = _state(pod).get("waiting", {})
    reason = waiting.get("reason", "")
    if reason in _STUCK:
        return Obstacle(f"{reason}: {waiting.get('message', '')}", SOON_SECONDS)
    why = _unscheduled(pod)
    # A claim, a volume or a class that does not exist: no new node would help.
    return Obstacle(why, SOON_SECONDS) if "not found" in why else None


def unscheduled(pod: Manifest, seconds: float) -> Obstacle | None:
    """Why no node takes the pod, which may be so for `seconds`; None if one does."""
    why = _unscheduled(pod)
    return Obstacle(why, seconds) if why else None


def is_being_made(pod: Manifest) -> bool:
    """Whether a node has taken the pod, and prepares its volumes and containers."""
    placed = _condition(pod, "PodScheduled").get("status") == "True" or bool(pod["spec"].get("nodeName"))
    return placed and pod.get("status", {}).get("phase") == "Pending"


def unmounted(events: list[Manifest]) -> Obstacle | None:
    """Why a pod's volumes cannot be mounted, by the warnings among its events; None if they can."""
    found = [event for event in events if event.get("reason") in _MOUNTS]
    if not found:
        return None
    message = str(found[-1].get("message", ""))
    # Another node's hold on a volume is broken after six minutes; what does not exist does not come.
    return Obstacle(f"{found[-1]['reason']}: {message}", SOON_SECONDS if "not found" in message else _LATER_SECONDS)


def _unscheduled(pod: Manifest) -> str:
    condition = _condition(pod, "PodScheduled")
    return str(condition.get("message", "no node takes it")) if condition.get("status") == "False" else ""


def failure_in(pod: Manifest) -> WorkerFailure | None:
    """How the worker failed; None while it has not."""
    if pod.get("status", {}).get("phase") != "Failed":
        return None
    worker = worker_of(pod)
    return WorkerFailure(worker, name_of(pod), _error(f"worker {worker}", pod))


def blame(failures: list[WorkerFailure]) -> WorkerFailure:
    """The likeliest cause among workers that failed together.

    1. What a worker said for a reason of its own that trying again cannot mend; 2. one that was ended before it could
    say a word, or failed in another way; 3. one that the cluster, or a peer that was, told to stop; 4. a survivor that
    lost its peers.
    """

    def rank(failure: WorkerFailure) -> int:
        if isinstance(failure.error, LostPeersError):
            return 4
        if isinstance(failure.error, PreemptedError):
            return 3
        return 2 if isinstance(failure.error, InternalError) else 1

    return min(failures, key=rank)


def _error(worker: str, pod: Manifest) -> HoplineError:
    terminated = _state(pod).get("terminated", {})
    # 1. The worker's own word; 2. what was done to its pod; 3. what became of its container; 4. the exit code alone.
    if said := parse_failure(terminated.get("message", "")):
        return said
    disruption = _condition(pod, "DisruptionTarget")
    if disruption.get("status") == "True":
        why = disruption.get("message") or disruption.get("reason", "")
        return PreemptedError(f"{worker} was disrupted by the cluster: {why}", remedy="run the same command again")
    if pod["metadata"].get("deletionTimestamp"):  # a worker that waits for peers hears nothing until it is killed
        return PreemptedError(f"{worker} was told to stop", remedy="run the same command again: it continues")
    if not terminated:
        status = pod["status"]
        return InternalError(
            f"{worker} was ended: {status.get('reason', 'its pod failed')}: {status.get('message', 'no word of why')}",
            remedy="run the same command again: it continues",
        )
    if terminated.get("reason") == "OOMKilled":
        return InternalError(f"{worker} ran out of memory", remedy="raise job.memory, or use a smaller batch")
    code = int(terminated["exitCode"])
    return failure_of(worker, 128 - code if 128 < code <= 128 + 64 else code)


def _state(pod: Manifest) -> Manifest:
    for status in pod.get("status", {}).get("containerStatuses", []):
        if status["name"] == "worker":
            return dict(status["state"])
    return {}


def _condition(pod: Manifest, kind: str) -> Manifest:
    found = (c for c in pod.get("status", {}).get("conditions", []) if c["type"] == kind)
    return next(found, {})
