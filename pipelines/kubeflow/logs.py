"""The log of a step's pod, among the lines of Kubeflow's own programs."""

import re
from collections.abc import Iterator

from hopline.runtime.records import plain
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.nodes import pods
from pipelines.kubeflow.resources import Run

# The launcher (glog) and TensorFlow (absl), the wrapper in kfp, and Argo.
_MACHINERY = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ |\[KFP Executor |time=\S+ level=\w+ .*argo=true")
_DUMP = re.compile(r"(Got executor_input|ExecutorOutput):( \{)?$")  # before an object of JSON over many lines


def step_log(client: Client, run: Run, step: str) -> str:
    """The log of the step's last try; "" where there is none."""
    for pod in pods(run, step):
        if log := client.log(run.id, pod):
            return log
    return ""


def own_lines(log: str) -> list[str]:
    """The lines of a pod's log that the step has printed for people."""
    return [line for line in _spoken(plain(log)) if line.strip()]


def _spoken(lines: list[str]) -> Iterator[str]:
    dumping = False
    for line in lines:
        if dumping:
            dumping = line != "}"
        elif _MACHINERY.match(line):
            dumping = bool(_DUMP.search(line))
        else:
            yield line
