"""One Job's course: the chief's log, workers that fail, workers that cannot start."""

import sys
from typing import Any

from components.train.launch.cluster import kueue, pods
from components.train.launch.cluster.annotations import ProgressNote
from components.train.launch.cluster.api import Api
from components.train.launch.cluster.logs import ChiefLog, last_lines
from hopline.runtime.errors import HoplineError, InternalError, PreemptedError, UserError

Manifest = dict[str, Any]

# Survivors fail within seconds of a lost peer: workers that fail within this time have one cause.
_SETTLE_SECONDS = 10.0
_QUOTA_SECONDS = 300.0  # for a quota to be free
_MOUNT_LOOKS = 15  # between two questions why a pod is still being made, or the Job still queued
_LINES = 20
_SPENT = {"BackoffLimitExceeded", "MaxFailedIndexesExceeded", "FailedIndexes"}


class SpentError(InternalError):
    """Workers failed more often than they may be started again.

    Args:
        cause: why they did the last time.
    """

    def __init__(self, cause: HoplineError) -> None:
        super().__init__(f"{cause.message}; there are no restarts left", remedy=cause.remedy)
        self.cause = cause


class Watch:
    """Tells people what happens to a Job, and in the end why it failed.

    Args:
        api: the cluster.
        uid: the Job's.
        workers: how many pods it should have.
        adopted: whether an earlier launcher has watched it before.
        start_seconds: that workers may wait for a node; 0 for no limit.
        disruptions: that a worker may suffer.
    """

    def __init__(
        self, api: Api, uid: str, *, workers: int, adopted: bool, start_seconds: float = 0, disruptions: int = 0
    ) -> None:
        self._api, self._uid, self._workers = api, uid, workers
        self._start_seconds, self._disruptions = start_seconds, disruptions
        self._adopted = adopted
        self._log = ChiefLog(api, adopted=adopted)
        self._progress = ProgressNote(api)
        self._known: set[str] = set()  # pods whose failure has been reported
        self._together: list[pods.WorkerFailure] = []  # failures that have not been reported yet
        self._settling = 0.0  # seconds since the first of them
        self._blamed: list[pods.WorkerFailure] = []  # the first of each time that workers failed
        self._said = ""
        self._since: dict[str, float] = {}  # seconds since each kind of obstacle keeps workers from starting
        self._looks = self._queue_looks = 0
        self._unmounted: pods.Obstacle | None = None
        self._queued: pods.Obstacle | None = None
        self._disrupted: dict[int, int] = {}  # how often, by worker

    def waited(self, seconds: float) -> None:
        """Notes that so much time has passed."""
        self._progress.waited(seconds)
        self._settling += seconds
        self._since = {kind: since + seconds for kind, since in self._since.items()}

    def look(self, job: Manifest) -> None:
        """Looks at the Job's pods and says what is new.

        Raises:
            UserError: workers cannot start, and waiting has not helped.
        """
        found = sorted(self._api.pods(f"batch.kubernetes.io/controller-uid={self._uid}"), key=pods.age_of)
        chiefs = [pods.name_of(pod) for pod in found if pods.worker_of(pod) == 0 and pods.has_log(pod)]
        if self._adopted:  # an earlier launcher has shown the others
            self._known.update(chiefs[:-1])
            self._adopted = False
        for chief in chiefs:
            if chief not in self._known:
                self._log.show(chief)
        self._progress.update(str(job["metadata"]["name"]), self._log.progress)
        self._note_falls(found)
        if not (condition(job, "Complete") or condition(job, "Failed")):
            self._note_obstacles(job, found)

    def failure(self, failed: Manifest) -> HoplineError:
        """Why the Job failed, of which Kubernetes says `failed`."""
        self._tell_fall()
        reason, message = failed.get("reason", ""), failed.get("message", "")
        if reason == "DeadlineExceeded":
            return InternalError(
                "the Job ran longer than job.max_seconds", remedy="raise it; the same command continues"
            )
        # Workers that are told to stop because the Job has failed did not fail it.
        for failure in reversed(self._blamed):
            if not isinstance(failure.error, PreemptedError):
                return SpentError(failure.error) if reason in _SPENT else failure.error
        return InternalError(f"the Job failed: {reason}: {message}", remedy="run the same command again: it continues")

    def _note_falls(self, found: list[Manifest]) -> None:
        self._disrupted = {}
        for pod in found:
            name, failure = pods.name_of(pod), pods.failure_in(pod)
            if failure and isinstance(failure.error, PreemptedError):
                self._disrupted[failure.worker] = self._disrupted.get(failure.worker, 0) + 1
            if failure and name not in self._known:
                self._known.add(name)
                if not self._together:
                    self._settling = 0.0
                self._together.append(failure)
        if len(self._together) >= self._workers or self._settling >= _SETTLE_SECONDS:
            self._tell_fall()

    def _tell_fall(self) -> None:
        if not self._together:
            return
        failure = pods.blame(self._together)
        self._together = []
        self._blamed.append(failure)
        print(f"train: worker {failure.worker} failed first: {failure.error.message}", file=sys.stderr)
        if failure.worker != 0:  # the chief's were shown
            for line in last_lines(self._api, failure.pod, _LINES):
                print(f"  worker {failure.worker}: {line}", file=sys.stderr)

    def spent(self) -> SpentError | None:
        """The error if a worker was disrupted more often than it may be: Kubernetes itself counts no disruption."""
        worker, times = max(self._disrupted.items(), key=lambda item: item[1], default=(0, 0))
        if times <= self._disruptions:
            return None
        cause = PreemptedError(
            f"worker {worker} was disrupted {times} times, and job.disruptions is {self._disruptions}",
            remedy="raise job.disruptions, or train on nodes that stay; the same command continues",
        )
        return SpentError(cause)

    def _note_obstacles(self, job: Manifest, found: list[Manifest]) -> None:
        kind, worker, obstacle = self._obstacle(job, found)
        self._since = {kind: self._since.get(kind, 0.0)} if obstacle else {}
        message = f"{f'worker {worker}: ' if worker is not None else ''}{obstacle.why}" if obstacle else ""
        if obstacle and obstacle.seconds and self._since[kind] >= obstacle.seconds:
            raise UserError(
                f"workers cannot start: {message}",
                remedy="correct [job] (image, secret, resources, start_seconds) or the cluster as the message says",
            )
        if message and message != self._said:
            print(f"train: waits for the cluster: {message}", file=sys.stderr)
        self._said = message

    def _obstacle(self, job: Manifest, found: list[Manifest]) -> tuple[str, int | None, pods.Obstacle | None]:
        """What keeps workers from starting, of which kind and which worker; the kind that is an error first."""
        if job["spec"].get("suspend"):
            if self._queue_looks % _MOUNT_LOOKS == 0:
                self._queued = kueue.waiting(self._api, job)
            self._queue_looks += 1
            return "queue", None, self._queued
        self._queue_looks = 0
        waiting = [pod for pod in found if pod.get("status", {}).get("phase") == "Pending"]
        for pod in waiting:
            if obstacle := pods.obstacle(pod):
                return "container", pods.worker_of(pod), obstacle
        for pod in waiting:
            if pods.is_being_made(pod) and (obstacle := self._mount_of(pod)):
                return "volume", pods.worker_of(pod), obstacle
        if job.get("status", {}).get("active", 0) < self._workers and (refused := self._refused_pods(found)):
            # An account that is not there comes with no quota that is freed.
            seconds = pods.SOON_SECONDS if "not found" in refused else _QUOTA_SECONDS
            return "quota", None, pods.Obstacle(refused, seconds)
        for pod in waiting:
            if obstacle := pods.unscheduled(pod, self._start_seconds):
                return "node", pods.worker_of(pod), obstacle
        return "", None, None

    def _mount_of(self, pod: Manifest) -> pods.Obstacle | None:
        """What keeps the pod's volumes from being mounted, asked for now and then."""
        if self._looks % _MOUNT_LOOKS == 0:
            self._unmounted = pods.unmounted(self._api.warnings(pod["metadata"]["uid"]))
        self._looks += 1
        return self._unmounted

    def _refused_pods(self, found: list[Manifest]) -> str:
        """Why the cluster lets the Job have no more pods, if it has said so since the newest was made."""
        newest = max((pod["metadata"]["creationTimestamp"] for pod in found), default="")
        said = [event for event in self._api.warnings(self._uid) if event.get("reason") == "FailedCreate"]
        recent = [event for event in said if _time_of(event) >= newest]
        return str(max(recent, key=_time_of).get("message", "")) if recent else ""


def condition(job: Manifest, kind: str) -> Manifest | None:
    """The Job's condition `kind` if it holds."""
    conditions = job.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def _time_of(event: Manifest) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or ""
