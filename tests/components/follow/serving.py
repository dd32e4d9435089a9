"""A server that does with its folder what TensorFlow Serving does under the policy `all`.

It looks every few milliseconds, loads what has come one at a time, and unloads what has gone, the last one that answers
only when nothing is left (its AvailabilityPreservingPolicy).  A request that names no version gets the highest that
answers.
"""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_LABEL = re.compile(r'version_labels \{ key: "(\w+)" value: (\d+) \}')
LOOK_SECONDS, LOAD_SECONDS = 0.005, 0.03


class Serving:
    """A model server.

    Attributes:
        url: of the model's status.
        ready: the versions that answer, and the content of each.
        broken: versions that cannot be loaded.
        answered: for each request of a client that never ceases to ask, the version that answered; None for none.
        answered_by_label: the same for requests that name the label `champion`, once there is one.
    """

    def __init__(self, folder):
        self.folder, self.broken = folder, set()
        self.config = folder.parent / ".serving" / "models.config"
        self.labels = {}
        self.ready, self.answered, self.answered_by_label = {}, [], []
        handler = type("Handler", (_Handler,), {"serving": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1/models/hopline"
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._http.serve_forever, args=(0.01,))]
        self._threads += [threading.Thread(target=self._repeat, args=(act,)) for act in (self._look, self._ask)]
        for thread in self._threads:
            thread.start()

    def close(self):
        self._ended.set()
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join()

    def _repeat(self, act):
        while not self._ended.is_set():
            act()
            time.sleep(LOOK_SECONDS)

    def _look(self):
        aspired = {int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()}
        for version in sorted(aspired - self.ready.keys() - self.broken, reverse=True):
            weights = self.folder / str(version) / "weights"
            text = weights.read_text() if weights.exists() else ""
            time.sleep(LOAD_SECONDS)
            self.ready = {**self.ready, version: text}
        if self.config.exists():
            asked = {label: int(number) for label, number in _LABEL.findall(self.config.read_text())}
            if set(asked.values()) <= self.ready.keys():  # else it keeps those it has
                self.labels = asked
        if not aspired or aspired & self.ready.keys():
            self.ready = {version: text for version, text in self.ready.items() if version in aspired}

    def _ask(self):
        ready = self.ready
        self.answered.append(max(ready, default=None))
        if self.labels:
            self.answered_by_label.append(self.labels["champion"] if self.labels["champion"] in ready else None)


class _Handler(BaseHTTPRequestHandler):
    serving: Serving

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        name, _, label = self.path.removeprefix("/v1/models/").partition("/labels/")
        assert name == "hopline"
        if label and label not in self.serving.labels:
            self.send_error(404)
            return
        fine, error = (
            {"error_code": "OK", "error_message": ""},
            {"error_code": "UNKNOWN", "error_message": "no such op"},
        )
        states = [{"version": str(version), "state": "AVAILABLE", "status": fine} for version in self.serving.ready]
        if label:
            states = [state for state in states if int(state["version"]) == self.serving.labels[label]]
        broken = () if label else self.serving.broken
        states += [{"version": str(version), "state": "END", "status": error} for version in broken]
        data = json.dumps({"model_version_status": states}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
