"""The steps of a run among the nodes of its workflow.

Kubeflow makes of a task `train` the nodes `train-driver`, a pod that asks the cache, and `train`, a graph whose one
node `executor` is the pod that does the work: skipped where the cache had the result.  Each may be tried several
times: `executor(0)`, `executor(1)`.  The API shows every node's own name and the ids of those that follow it, and
neither the node's id nor its pod.  Both are made from its full name, such as `hopline-x7(0).root(0).train(0)`
(argoproj/argo-workflows, `NodeID` and `GeneratePodName`), so the full names are those whose ids exist.
"""

import re
from datetime import UTC, datetime

from components.steps import ARTIFACTS
from pipelines.kubeflow.resources import Run, Task
from pipelines.watch import State, StepView

STEPS = tuple(ARTIFACTS)  # that people are shown
_STATES = {
    "PENDING": State.RUNNING,  # its pod waits for a place or its image
    "RUNNING": State.RUNNING,
    "SUCCEEDED": State.DONE,
    "SKIPPED": State.SKIPPED,
    "FAILED": State.FAILED,
    "CANCELED": State.STOPPED,
}
_TEMPLATES = ("system-container-impl", "retry-system-container-impl")  # without retries of the task, and with


def views(run: Run) -> list[StepView]:
    """All steps, in their order; after the run's end none of them is waiting."""
    return [_view(run, step) for step in STEPS]


def pods(run: Run, step: str) -> list[str]:
    """What the pod of the step's last try may be called; nothing if there was none."""
    names = _full_names(run)
    tries = [name for name in names if re.search(rf"\.{step}(\(\d+\))?\.executor(\(\d+\))?$", name)]
    if any(name.endswith(")") for name in names):  # then a pod is a try; what has none was skipped
        tries = [name for name in tries if name.endswith(")")]
    if not tries:
        return []
    last = max(tries, key=lambda name: [int(number) for number in re.findall(r"\((\d+)\)", name)])
    workflow, _, number = _identity(_workflow(run), last).rpartition("-")
    return [f"{workflow}-{template}-{number}" for template in _TEMPLATES]


def _view(run: Run, step: str) -> StepView:
    task, driver = _task(run, step), _task(run, f"{step}-driver")
    if task is None or (driver and driver.state == "FAILED"):
        return StepView(step, _without_pod(run, driver))
    state = _STATES.get(task.state, State.RUNNING)
    if state is State.RUNNING and run.ended:
        state = State.STOPPED
    if state is State.DONE and not pods(run, step):
        state = State.FOUND
    end = task.finished or datetime.now(UTC)
    return StepView(step, state, max(0.0, (end - task.started).total_seconds()) if task.started else 0.0)


def _without_pod(run: Run, driver: Task | None) -> State:
    """The state of a step that has not begun."""
    if driver and driver.state == "FAILED":
        return State.FAILED
    if driver and not run.ended:
        return State.RUNNING
    if not run.ended:
        return State.WAITING
    return State.SKIPPED if run.state == "SUCCEEDED" else State.NOT_REACHED


def _task(run: Run, name: str) -> Task | None:
    """The node of this name, unless it was left out."""
    return next((task for task in run.tasks if task.name == name and task.state), None)


def _workflow(run: Run) -> str:
    """The name of the run's workflow: what comes before the number in the nodes' ids."""
    return next((child.rpartition("-")[0] for task in run.tasks for child in task.children), "")


def _full_names(run: Run) -> set[str]:
    """The full names of all nodes: every own name below every full name found before, if that is a node."""
    workflow = _workflow(run)
    identities = {child for task in run.tasks for child in task.children}
    own = {task.name for task in run.tasks}
    found: set[str] = set()
    new = {workflow} if workflow else set()
    while new:
        found |= new
        below = {_below(above, name) for above in new for name in own}
        new = {name for name in below - found if _identity(workflow, name) in identities}
    return found


def _below(above: str, name: str) -> str:
    """The full name that the node `name` has below `above`: `a.b` below `a`, and `a(0)`, a try, as well."""
    own, _, number = name.partition("(")
    is_try = number and above.rpartition(".")[2] == own
    return f"{above}({number}" if is_try else f"{above}.{name}"


def _identity(workflow: str, name: str) -> str:
    """A node's id: FNV-1a with 32 bits of its full name."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{workflow}-{value}"
