"""A Kubernetes API server for one `Cluster`, spoken to over HTTP, that checks every request against the contract."""

import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.components.train.launch.cluster.cluster import QUEUE_LABEL
from tests.components.train.launch.cluster.rules import check, check_schema, require

PATH = re.compile(
    r"(/api/(?P<core>v1)|/apis/(?P<group>[a-z.0-9-]+)/v1(beta2)?)/namespaces/hopline/(?P<resource>[a-z]+)"
    r"(/(?P<name>[a-z0-9.-]+))?(/(?P<sub>[a-z]+))?"
)
KINDS = {
    ("", "services"): "Service", ("", "pods"): "Pod", ("", "events"): "Event", ("batch", "jobs"): "Job",
    ("networking.k8s.io", "networkpolicies"): "NetworkPolicy", ("kueue.x-k8s.io", "workloads"): "Workload",
}  # fmt: skip
LOOKED_FOR = {
    ("", "serviceaccounts"): "ServiceAccount", ("", "secrets"): "Secret",
    ("", "persistentvolumeclaims"): "PersistentVolumeClaim", ("kueue.x-k8s.io", "localqueues"): "LocalQueue",
}  # fmt: skip
REVIEWS = "/apis/authorization.k8s.io/v1/"
# What the server knows besides `pretty`, for the requests that we make.
QUERIES = {"list": {"labelSelector", "fieldSelector"}, "log": {"timestamps", "sinceTime", "tailLines"}}
CONTENT = {"create": "application/json", "patch": "application/merge-patch+json", "delete": "application/json"}


@dataclass(frozen=True)
class Request:
    """One request, as RBAC sees it."""

    verb: str
    group: str
    resource: str


class Server:
    """Answers over HTTP at `url`.

    Attributes:
        requests: all that were made, in order.
        allowed: called with the user ("" for the asking one) and the resource attributes of an access review.
        fault: called with each request before it is done; what it returns ("cut", "lost", or a status and a message)
            is done to the request instead.
        version: that it says it has.
        kueue: whether the cluster has Kueue.
        breaches: requests that no server would take; a test ends by looking here.
    """

    def __init__(self, cluster):
        self.cluster = cluster
        self.requests = []
        self.breaches = []
        self.fault = lambda request: None
        self.allowed = lambda user, attributes: False
        self.version = "v1.31.0"
        self.kueue = False
        handler = type("Handler", (_Handler,), {"server_of": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request, name, query, body, content):
        """Status and content for a request that the contract allows."""
        kind = (KINDS | LOOKED_FOR)[request.group, request.resource.partition("/")[0]]
        if request.verb in CONTENT:
            require(content == CONTENT[request.verb], f"{request.verb} takes {CONTENT[request.verb]}, not {content}")
        known = QUERIES.get("log" if request.resource == "pods/log" else request.verb, set())
        require(query.keys() <= known, f"{request} knows {known}, not {query.keys()}")
        if request.verb == "list":
            return 200, {"kind": f"{kind}List", "items": self._selected(kind, query)}
        if request.verb == "create":
            return self._create(kind, body)
        if (kind, name) not in self.cluster.objects:
            return _status(404, f"{kind} {name} not found")
        if request.resource == "pods/log":
            return self._log(name, query)
        if request.verb in {"delete", "patch"}:
            return (self._delete if request.verb == "delete" else self._patch)(kind, name, body)
        return 200, self._versioned(self.cluster.objects[kind, name])

    def _versioned(self, manifest):
        version = self.cluster.version(manifest)
        return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}

    def answer_unnamespaced(self, method, path, body):
        """Status and content for a request beside those of a namespace; None if nothing is there."""
        if (method, path) == ("GET", "/version/"):
            keys = ("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform")
            return 200, dict.fromkeys(keys, "") | {"major": "1", "minor": "31", "gitVersion": self.version}
        if self.kueue and (method, path) == ("GET", "/apis/kueue.x-k8s.io"):
            versions = [{"groupVersion": f"kueue.x-k8s.io/{v}", "version": v} for v in ("v1beta2", "v1beta1")]
            return 200, {"kind": "APIGroup", "name": "kueue.x-k8s.io", "versions": versions,
                         "preferredVersion": versions[0]}  # fmt: skip
        if path == "/apis/kueue.x-k8s.io":
            return _status(404, "the server could not find the requested resource")
        if (method, path) == ("GET", "/api/v1/namespaces/hopline"):
            return 200, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "hopline"}}
        if method == "POST" and path.startswith(REVIEWS):
            check_schema(body)
            require(path == f"{REVIEWS}{body['kind'].lower()}s", f"a {body['kind']} is not for {path}")
            allowed = self.allowed(body["spec"].get("user", ""), body["spec"]["resourceAttributes"])
            return 201, {**body, "metadata": {}, "status": {"allowed": allowed}}
        return None

    def _create(self, kind, body):
        require(body["kind"] == kind, f"a {kind} is no {body['kind']}")
        check(body)
        if (kind, body["metadata"]["name"]) in self.cluster.objects:
            return _status(409, "it already exists")
        made = self.cluster.add(body)
        if kind == "Job" and self.cluster.default_queue:
            made["metadata"]["labels"].setdefault(QUEUE_LABEL, self.cluster.default_queue)
        return 201, self._versioned(made)

    def _patch(self, kind, name, change):
        wanted = change.get("metadata", {}).pop("resourceVersion", None)
        if wanted not in (None, self.cluster.version(self.cluster.objects[kind, name])):
            return _status(409, "the object has been modified")
        labels = self.cluster.objects[kind, name]["metadata"].get("labels", {})
        require(QUEUE_LABEL not in labels or "suspend" not in change.get("spec", {}), "suspend is Kueue's")
        merged = _merge(self.cluster.objects[kind, name], change)
        check({key: value for key, value in merged.items() if key != "status"})
        self.cluster.objects[kind, name] = merged
        return 200, self._versioned(merged)

    def _selected(self, kind, query):
        labels = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
        fields = dict(pair.split("=") for pair in query.get("fieldSelector", "").split(",") if pair)
        found = [o for o in self.cluster.of(kind) if labels.items() <= o["metadata"].get("labels", {}).items()]
        return [o for o in found if all(_field(o, path) == value for path, value in fields.items())]

    def _log(self, name, query):
        (status,) = self.cluster.objects["Pod", name]["status"].get("containerStatuses", [{"state": {"waiting": {}}}])
        if "waiting" in status["state"]:
            return _status(400, "container worker is waiting to start")
        lines = []
        for now, number, text in self.cluster.logs[name]:
            second = now.strftime("%Y-%m-%dT%H:%M:%S")
            if second >= query.get("sinceTime", "")[:19]:  # whole seconds, as kubelets have it
                # Trailing zeros are not written.
                stamp = f"{second}.{f'{number:03}'.rstrip('0')}Z " if query.get("timestamps") == "true" else ""
                lines.append(f"{stamp}{text}\n")
        return 200, "".join(lines[-int(query.get("tailLines", len(lines) or 1)) :])

    def _delete(self, kind, name, body):
        require(body.keys() <= {"propagationPolicy", "preconditions", "gracePeriodSeconds"}, "is no DeleteOptions")
        found = self.cluster.objects[kind, name]
        if body.get("preconditions", {}).get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            return _status(409, "the uid is another")
        if body.get("preconditions", {}).get("resourceVersion") not in (None, self.cluster.version(found)):
            return _status(409, "the object has been modified")
        if kind == "Job":
            require(body["propagationPolicy"] == "Foreground", "or the next Job's pods would start beside this one's")
            found["metadata"]["deletionTimestamp"] = self.cluster.stamp()
        else:
            self.cluster.remove(kind, name)
        return 200, {"kind": "Status", "status": "Success"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or the client waits 40 ms for the second
    server_of: Server

    def log_message(self, *arguments):
        pass

    def _handle(self):
        server = self.server_of
        split = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = PATH.fullmatch(split.path)
        if path is None:
            if answer := self._answer_unnamespaced(split.path, text):
                return self._send(*answer)
            server.breaches.append(f"{self.command} {self.path}")
            return self._send(404, {})
        by_method = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "GET": "get" if path["name"] else "list"}
        resource = f"{path['resource']}/{path['sub']}" if path["sub"] else path["resource"]
        request = Request(by_method[self.command], path["group"] or "", resource)
        server.requests.append(request)
        fault = server.fault(request)
        if fault == "lost":  # before anything was done
            self.close_connection = True
            return None
        if isinstance(fault, tuple):
            return self._send(*_status(*fault))
        query = {name: value for name, (value,) in parse_qs(split.query, strict_parsing=bool(split.query)).items()}
        body = json.loads(text) if text else None
        try:
            answer = server.answer(request, path["name"], query, body, self.headers.get("Content-Type"))
        except Exception as error:
            server.breaches.append(f"{request}: {error!r}")
            answer = _status(422, str(error))
        return self._send(*answer, cut=fault == "cut")

    def _answer_unnamespaced(self, path, text):
        fault = self.server_of.fault(Request(self.command.lower(), "", path))
        if isinstance(fault, tuple):
            return _status(*fault)
        try:
            return self.server_of.answer_unnamespaced(self.command, path, json.loads(text) if text else None)
        except Exception as error:
            self.server_of.breaches.append(f"{self.command} {path}: {error!r}")
            return _status(422, str(error))

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _send(self, status, content, *, cut=False):
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if cut:  # it was done, and the answer breaks off in the middle
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)


def _status(code, message):
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


def _field(manifest, path):
    value = manifest
    for key in path.split("."):
        value = value[key]
    return value


def _merge(target, change):
    """RFC 7396."""
    if not isinstance(change, dict):
        return change
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged
