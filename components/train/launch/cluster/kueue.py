"""A Job in a queue of Kueue, which decides when the Job starts, and may take its nodes away again.

Kueue unsuspends a Job that it admits, and suspends one whose place it gives to another: `suspend` is Kueue's alone.  A
Job is made suspended and without the label that names its queue; when all that it needs is there, the label is set,
where it would otherwise be unsuspended.  A cluster may give every Job a default queue: then the label is there already.
"""

from typing import Any

from components.train.launch.cluster.api import Api
from components.train.launch.cluster.pods import SOON_SECONDS, Obstacle
from hopline.config.job import JobConfig
from hopline.runtime.errors import UserError

Manifest = dict[str, Any]

GROUP = "kueue.x-k8s.io"
QUEUE_LABEL = f"{GROUP}/queue-name"
PRIORITY_LABEL = f"{GROUP}/priority-class"
_JOB_LABEL = f"{GROUP}/job-uid"  # of the Workload by which Kueue keeps account of a Job
# What no other run's end would change: a queue that is not there, a resource for which the queue's ClusterQueue has no
# quota at all, and more of one than its whole quota.  Any of them may still be mended.
_NEVER = ("doesn't exist", "unavailable in ClusterQueue", "> maximum capacity")


def queue_of(job: Manifest) -> str:
    """The queue that the Job is in; "" for none."""
    return str(job["metadata"].get("labels", {}).get(QUEUE_LABEL, ""))


def start(job: Manifest, settings: JobConfig) -> Manifest:
    """What is to change of the Job so that it starts, at once or when Kueue lets it."""
    if queue_of(job):  # by an earlier launcher, or by the cluster's default
        return {}
    if not settings.queue:
        return {"spec": {"suspend": False}}
    priority = {PRIORITY_LABEL: settings.queue_priority} if settings.queue_priority else {}
    return {"metadata": {"labels": {QUEUE_LABEL: settings.queue, **priority}}}


def waiting(api: Api, job: Manifest) -> Obstacle | None:
    """Why the Job is suspended; None if it is not.

    Raises:
        UserError: it is in a queue of Kueue, and the cluster has no Kueue.
    """
    if not job["spec"].get("suspend"):
        return None
    if not (queue := queue_of(job)):
        return Obstacle("the Job is suspended", 0)
    workloads = api.workloads(f"{_JOB_LABEL}={job['metadata']['uid']}")
    if workloads is None:
        raise UserError(
            f'the Job is in the queue "{queue}", but the cluster has no Kueue that would start it',
            remedy="leave job.queue empty, or install Kueue",
        )
    why = next((why for workload in workloads if (why := _why(workload))), "Kueue has not looked at it yet")
    return Obstacle(f"queued in {queue}: {why}", SOON_SECONDS if any(never in why for never in _NEVER) else 0)


def _why(workload: Manifest) -> str:
    """What Kueue says of a Job that it does not let run."""
    conditions = {c["type"]: c for c in workload.get("status", {}).get("conditions", [])}
    reserved, evicted = conditions.get("QuotaReserved", {}), conditions.get("Evicted", {})
    if reserved.get("status") == "False" and reserved.get("message"):
        return str(reserved["message"])
    return str(evicted.get("message", "")) if evicted.get("status") == "True" else ""
