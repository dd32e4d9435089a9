"""What the pods of a Job tell: who has not started and why, who has fallen and whose fault it was."""

from dataclasses import dataclass
from typing import Any

from hopline.runtime.errors import HoplineError, InternalError, LostPeersError, PreemptedError
from hopline.runtime.process import failure_of, parse_failure

Manifest = dict[str, Any]

_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
# Reasons for which a container waits that time alone seldom mends.
_STUCK = {
    "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff",
    "InvalidImageName", "RunContainerError",
}  # fmt: skip


@dataclass(frozen=True)
class Fall:
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


def obstacle(pod: Manifest) -> str:
    """Why the worker cannot start, as far as waiting will hardly help; "" if nothing is in its way."""
    waiting = _state(pod).get("waiting", {})
    reason = waiting.get("reason", "")
    return f"{reason}: {waiting.get('message', '')}" if reason in _STUCK else ""


def unscheduled(pod: Manifest) -> str:
    """Why no node takes the pod; "" if one does."""
    condition = _condition(pod, "PodScheduled")
    return str(condition.get("message", "no node takes it")) if condition.get("status") == "False" else ""


def fall_of(pod: Manifest) -> Fall | None:
    """How the worker failed; None while it has not."""
    if pod.get("status", {}).get("phase") != "Failed":
        return None
    worker = worker_of(pod)
    return Fall(worker, name_of(pod), _error(f"worker {worker}", pod))


def blame(falls: list[Fall]) -> Fall:
    """The likeliest cause among workers that fell together.

    1. What a worker said for a reason of its own that trying again cannot mend; 2. one that was ended before it could
    say a word, or failed in another way; 3. one that the cluster, or a peer that was, told to stop; 4. a survivor that
    lost its peers.
    """

    def rank(fall: Fall) -> int:
        if isinstance(fall.error, LostPeersError):
            return 4
        if isinstance(fall.error, PreemptedError):
            return 3
        return 2 if isinstance(fall.error, InternalError) else 1

    return min(falls, key=rank)


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
