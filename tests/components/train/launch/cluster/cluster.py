"""A cluster in memory: the Job controller, the kubelets and the garbage collector, moved on by `tick`.

What the Job controller does follows the Job that it is given (its failure policy, its limits), so that a test of what
becomes of a failed worker is a test of the template.
"""

import datetime
import hashlib
import json
import uuid
from dataclasses import dataclass, field

from hopline.runtime.errors import HoplineError
from tests.components.train.launch.cluster.rules import check, check_restricted

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@dataclass
class Life:
    """What a worker's pod comes to: it runs for so many ticks, says its lines, and ends."""

    ticks: int = 2
    code: int = 0
    said: HoplineError | None = None  # its failure.json
    lines: list[str] = field(default_factory=list)
    waiting: str = ""  # a reason for which its container never starts
    pending: str = ""  # why no node takes it
    unmounted: str = ""  # why its volumes cannot be mounted
    reason: str = ""  # of the container's end, such as OOMKilled
    disruption: str = ""  # message of the condition DisruptionTarget
    evicted: str = ""  # message of a pod that ends without a word of its container
    lingers: int = 0  # for so many ticks it does not hear that it is told to stop; then it is killed

    @classmethod
    def failing(cls, error, ticks=2):
        """A worker that fails as our program does."""
        return cls(ticks, code=int(error.code), said=error)


class Cluster:
    """The objects of one namespace.

    Attributes:
        objects: by kind and name.
        lives: of each worker, one life after the other; when they are over, a worker ends well.
        quota: why no pod may be created; "" if they may.
    """

    def __init__(self):
        self.objects = {}
        self.logs = {}  # by pod: (time, text)
        self.lives = {}
        self.quota = ""
        self.queues = {}  # of Kueue, by name: whether there is room, or why there never will be
        self.default_queue = ""  # that a Job without one is given
        self.now = START
        self._started = {}  # by pod: life, ticks so far
        self._failures = {}  # of each Job's uid and index, counted ones
        self.created = []  # (kind, name), in order

    def stamp(self, fraction=0):
        text = self.now.strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}.{fraction:09}Z" if fraction else f"{text}Z"

    def add(self, manifest):
        """Gives the object what the server gives it, and keeps it."""
        metadata = manifest["metadata"]
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": self.stamp(), "namespace": "hopline"}
        self.objects[manifest["kind"], metadata["name"]] = manifest
        self.created.append((manifest["kind"], metadata["name"]))
        return manifest

    def of(self, kind):
        return [manifest for (found, _), manifest in self.objects.items() if found == kind]

    def remove(self, kind, name):
        """Removes the object, and all that it owned alone."""
        gone = self.objects.pop((kind, name), None)
        if gone is None:
            return
        for key, manifest in list(self.objects.items()):
            owners = manifest["metadata"].get("ownerReferences", [])
            kept = [owner for owner in owners if owner["uid"] != gone["metadata"]["uid"]]
            if owners and not kept:
                self.remove(*key)
            elif owners != kept:
                manifest["metadata"]["ownerReferences"] = kept

    def launcher(self, name):
        """The pod of a launcher, which runs until a test says otherwise; returns a reference to it."""
        pod = self.add({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {}}})
        pod["status"] = {"phase": "Running"}
        return {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}

    def version(self, manifest):
        """The object's resourceVersion: another one whenever anything of it is another."""
        return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:12]

    def pods_of(self, job):
        uid = job["metadata"]["uid"]
        return [
            pod for pod in self.of("Pod")
            if uid in [owner["uid"] for owner in pod["metadata"].get("ownerReferences", [])]
        ]  # fmt: skip

    def tick(self, seconds=2.0):
        """Lets everything in the cluster go on for one step."""
        self.now += datetime.timedelta(seconds=seconds)
        for pod in self.of("Pod"):
            if pod["metadata"]["name"] in self._started:
                self._kubelet(pod)
        for job in self.of("Job"):
            if QUEUE_LABEL in job["metadata"].get("labels", {}):
                self._kueue(job)
            if "deletionTimestamp" in job["metadata"]:
                self.remove("Job", job["metadata"]["name"])
            elif not job["spec"]["suspend"] and not job.get("status", {}).get("conditions"):
                self._controller(job)
            elif ending := job.get("status", {}).get("ending"):
                self._end_when_all_have(job, ending)

    def _kueue(self, job):
        """Lets the Job run if its queue has room, and takes its pods away if not."""
        queue, name = job["metadata"]["labels"][QUEUE_LABEL], f"job-{job['metadata']['name']}"
        if ("Workload", name) not in self.objects:
            metadata = {"name": name, "labels": {"kueue.x-k8s.io/job-uid": job["metadata"]["uid"]}}
            metadata["ownerReferences"] = [{"uid": job["metadata"]["uid"], "kind": "Job"}]
            self.add({"kind": "Workload", "apiVersion": "kueue.x-k8s.io/v1beta2", "metadata": metadata})
        room, why = self.queues.get(queue), f"insufficient unused quota in {queue}"
        if room is None:
            why = f"LocalQueue {queue} doesn't exist"
        elif isinstance(room, str):
            room, why = False, room
        reserved = {"type": "QuotaReserved", "status": str(bool(room)), "message": "" if room else why}
        self.objects["Workload", name]["status"] = {"conditions": [reserved]}
        if not room and not job["spec"]["suspend"]:
            for pod in self.pods_of(job):
                self.remove("Pod", pod["metadata"]["name"])
        job["spec"]["suspend"] = not room

    # The Job controller.

    def _controller(self, job):
        status = job.setdefault("status", {})
        pods = self.pods_of(job)
        for pod in pods:
            if pod["status"]["phase"] == "Failed" and not pod["metadata"].get("counted"):
                pod["metadata"]["counted"] = True
                self._judge(job, pod)
        done = {pod["metadata"]["labels"][INDEX_LABEL] for pod in pods if pod["status"]["phase"] == "Succeeded"}
        if not status.get("conditions") and "0" in done:
            self._end(job, "Complete", "SuccessPolicy", "")
        if status.get("conditions"):
            return
        alive = {pod["metadata"]["labels"][INDEX_LABEL] for pod in pods if pod["status"]["phase"] != "Failed"}
        for index in range(job["spec"]["completions"]):
            if str(index) not in alive:
                self._create_pod(job, index)
        status["active"] = sum(pod["status"]["phase"] in {"Pending", "Running"} for pod in self.pods_of(job))

    def _judge(self, job, pod):
        """What the failure policy says of a failed pod: the first rule that matches."""
        spec = job["spec"]
        containers = pod["status"].get("containerStatuses", [])
        codes = [status["state"].get("terminated", {}).get("exitCode") for status in containers]
        conditions = {c["type"] for c in pod["status"].get("conditions", []) if c["status"] == "True"}
        action = "Count"
        for rule in spec["podFailurePolicy"]["rules"]:
            by_code = set(rule.get("onExitCodes", {}).get("values", [])) & set(codes)
            if by_code or conditions & {condition["type"] for condition in rule.get("onPodConditions", [])}:
                action = rule["action"]
                break
        if action == "FailJob":
            self._end(job, "Failed", "PodFailurePolicy", f"pod {pod['metadata']['name']} matches a FailJob rule")
        elif action == "Count":
            key = job["metadata"]["uid"], pod["metadata"]["labels"][INDEX_LABEL]
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] > spec["backoffLimitPerIndex"]:  # and maxFailedIndexes is 0
                self._end(job, "Failed", "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number")

    def _end(self, job, kind, reason, message):
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        for pod in self.pods_of(job):
            if pod["status"]["phase"] not in {"Pending", "Running"}:
                continue
            pod["metadata"]["deletionTimestamp"] = self.stamp()
            life, _ = self._started[pod["metadata"]["name"]]
            if life.lingers:
                self._started[pod["metadata"]["name"]] = [Life(life.lingers, code=137), 1]
            else:
                self._end_pod(pod, Life(code=143))
        job["status"]["ending"] = condition
        job["status"]["conditions"] = [
            condition | {"type": "FailureTarget" if kind == "Failed" else "SuccessCriteriaMet"}
        ]
        self._end_when_all_have(job, condition)

    def _end_when_all_have(self, job, condition):
        if not any(pod["status"]["phase"] in {"Pending", "Running"} for pod in self.pods_of(job)):
            job["status"].pop("ending")
            job["status"]["conditions"].append(condition)

    def fail(self, reason):
        """Makes the Job fail for a reason of its own, such as its deadline."""
        (job,) = self.of("Job")
        self._end(job, "Failed", reason, "")

    def _create_pod(self, job, index):
        if self.quota:
            self._refuse_pod(job)
            return
        template, name = json.loads(json.dumps(job["spec"]["template"])), job["metadata"]["name"]
        labels = {**template["metadata"]["labels"], INDEX_LABEL: str(index)}
        labels |= {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"], "batch.kubernetes.io/job-name": name}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"]}
        metadata = {"name": f"{name}-{index}-{uuid.uuid4().hex[:5]}", "labels": labels, "ownerReferences": [owner]}
        spec = template["spec"] | {"hostname": f"{name}-{index}"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        check(pod)
        check_restricted(spec)
        self.add(pod)["status"] = {"phase": "Pending"}
        lives = self.lives.get(index, [])
        self._started[metadata["name"]] = [lives.pop(0) if lives else Life(), 0]
        self.logs[metadata["name"]] = []

    def _refuse_pod(self, job):
        self._warn(job, "FailedCreate", f"Error creating: pods is forbidden: {self.quota}")

    def _warn(self, about, reason, message):
        name = f"{about['metadata']['name']}.{uuid.uuid4().hex[:8]}"
        involved = {"kind": about["kind"], "name": about["metadata"]["name"], "uid": about["metadata"]["uid"]}
        self.objects["Event", name] = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "hopline"}, "type": "Warning",
            "involvedObject": involved, "reason": reason, "lastTimestamp": self.stamp(), "message": message,
        }  # fmt: skip

    # The kubelets.

    def _kubelet(self, pod):
        if pod["status"]["phase"] not in {"Pending", "Running"}:
            return
        entry = self._started[pod["metadata"]["name"]]
        life = entry[0]
        if life.pending:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": life.pending}
            pod["status"]["conditions"] = [condition]
            return
        placed = {"type": "PodScheduled", "status": "True"}
        pod["status"]["conditions"] = [placed]
        if life.unmounted:
            self._state(pod, {"waiting": {"reason": "ContainerCreating"}})
            self._warn(pod, "FailedMount", life.unmounted)
            return
        if life.waiting:
            self._state(pod, {"waiting": {"reason": life.waiting, "message": f"{life.waiting} of its image"}})
            return
        if entry[1] == 0:
            pod["status"]["phase"] = "Running"
            self._state(pod, {"running": {"startedAt": self.stamp()}})
            for line in life.lines:
                self.say(pod["metadata"]["name"], line)
        entry[1] += 1
        if entry[1] > life.ticks:
            self._end_pod(pod, life)

    def say(self, pod, line):
        """A line of the worker's log."""
        said = self.logs[pod]
        said.append((self.now, len(said) + 1, line))

    def _end_pod(self, pod, life):
        pod["status"]["phase"] = "Failed" if life.code or life.evicted else "Succeeded"
        if life.disruption:
            condition = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
            pod["status"]["conditions"] = [condition | {"message": life.disruption}]
        if life.evicted:
            pod["status"] |= {"reason": "Evicted", "message": life.evicted}
            pod["status"].pop("containerStatuses", None)
            return
        ended = {"exitCode": life.code, "reason": life.reason or ("Error" if life.code else "Completed")}
        if life.said:
            error = {"error": type(life.said).__name__, "code": int(life.said.code)}
            ended["message"] = json.dumps({**error, "message": life.said.message, "remedy": life.said.remedy})
        self._state(pod, {"terminated": ended})

    def _state(self, pod, state):
        image = pod["spec"]["containers"][0]["image"]
        status = {"name": "worker", "state": state, "image": image, "imageID": "", "ready": False, "restartCount": 0}
        pod["status"]["containerStatuses"] = [status]
