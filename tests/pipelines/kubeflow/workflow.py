"""A run's workflow on the server in memory: its nodes as Argo makes them for the compiled pipeline.

The form is that of a run on a real server, version 2.17.0: every node is tried at least once, in a node of its own, and
the pipeline's graphs are named by Kubeflow's compiler.
"""

from datetime import UTC, datetime

GRAPHS = {
    "root": "hopline-x7(0)",
    "exit-handler-1": "hopline-x7(0).root(0)",
    "condition-2": "hopline-x7(0).root(0).exit-handler-1(0)",
    "condition-3": "hopline-x7(0).root(0).exit-handler-1(0).condition-2(0)",
}
INSIDE = {  # the graph that a step is in
    "resolve": "exit-handler-1", "preprocess": "condition-2", "train": "condition-2", "evaluate": "condition-2",
    "promote": "condition-3",
}  # fmt: skip
NAME = "hopline-x7"


def number(name):
    """FNV-1a, 32 bits."""
    value = 2166136261
    for byte in name.encode():
        value = ((value ^ byte) * 16777619) % 2**32
    return value


class Workflow:
    """Plays a run; each method brings it on."""

    def __init__(self, server, run):
        self.server, self.run = server, run
        self.nodes = {}
        self._tried(NAME, "RUNNING")
        for graph in ("root", "exit-handler-1"):
            self._graph(graph)

    def starts(self, step, log="", template="system-container-impl"):
        """The step's pod runs and has printed `log`."""
        if INSIDE[step] not in {node["display_name"] for node in self.nodes.values()}:
            self._graph(INSIDE[step])
        above = self._inside(step)
        self._tried(f"{above}.{step}-driver", "SUCCEEDED")
        self._tried(f"{above}.{step}", "RUNNING")
        self._tried(f"{above}.{step}(0).executor", "RUNNING")
        self.server.logs[self.run["run_id"], self.pod(step, template)] = log
        return self

    def ends(self, step, log="", state="SUCCEEDED", tries=1):
        """The step has ended, and had printed `log` by then."""
        self.starts(step, log)
        above = f"{self._inside(step)}.{step}"
        for again in range(1, tries):
            self._set(f"{above}(0).executor({again})", state)
        for name in [name for name in self.nodes if name.startswith((f"{above}(", above)) and "driver" not in name]:
            self._set(name, state)
        self.server.logs[self.run["run_id"], self.pod(step, again=tries - 1)] = log
        return self

    def finds(self, step):
        """The step's result was in the cache: it had no pod."""
        self.starts(step)
        above = f"{self._inside(step)}.{step}"
        del self.nodes[f"{above}(0).executor(0)"], self.nodes[f"{above}(0).executor"]
        for name, state in ((above, "SUCCEEDED"), (f"{above}(0)", "SUCCEEDED"), (f"{above}(0).executor", "SKIPPED")):
            self._set(name, state)
        return self

    def never_starts(self, step):
        """The step's pod failed before its program began, and has no log."""
        self.ends(step, state="FAILED")
        del self.server.logs[self.run["run_id"], self.pod(step)]
        return self

    def over(self, state):
        """The run has ended."""
        for name in (NAME, f"{NAME}(0)"):
            self._set(name, state)
        self.run.update(state=state, finished_at=self.server.stamp())
        return self

    def pod(self, step, template="system-container-impl", again=0):
        return f"{NAME}-{template}-{number(f'{self._inside(step)}.{step}(0).executor({again})')}"

    def _inside(self, step):
        return f"{GRAPHS[INSIDE[step]]}.{INSIDE[step]}(0)"

    def _graph(self, graph):
        self._tried(f"{GRAPHS[graph]}.{graph}-driver", "SUCCEEDED")
        self._tried(f"{GRAPHS[graph]}.{graph}", "RUNNING")

    def _tried(self, name, state):
        """A node, and below it its first try."""
        self._set(name, state)
        self._set(f"{name}(0)", state)

    def _set(self, name, state):
        known = self.nodes.get(name, {"start_time": datetime.now(UTC).isoformat()})
        ended = state not in {"PENDING", "RUNNING"}
        end = datetime.now(UTC).isoformat() if ended else "0001-01-01T00:00:00Z"
        own = name.rpartition(".")[2]
        self.nodes[name] = {**known, "display_name": own, "state": state, "end_time": end}
        self.run["state"] = "RUNNING"
        self.run["run_details"] = {"task_details": [self._detail(name) for name in self.nodes]}

    def _detail(self, name):
        children = [{"pod_name": f"{NAME}-{number(other)}"} for other in self.nodes if self._follows(other, name)]
        return {"run_id": self.run["run_id"], **self.nodes[name], **({"child_tasks": children} if children else {})}

    def _follows(self, other, name):
        """Tries follow their node; in a graph the first follow the graph, and each the one before it."""
        if other.endswith(")"):
            return other.rpartition("(")[0] == name
        siblings = [node for node in self.nodes if node.rpartition(".")[0] == other.rpartition(".")[0]]
        siblings = [node for node in siblings if not node.endswith(")")]
        before = siblings[siblings.index(other) - 1] if siblings.index(other) else other.rpartition(".")[0]
        return name == (f"{before}(0)" if siblings.index(other) else before) and name != other
