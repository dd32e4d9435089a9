"""What the pipeline needs of a cluster, asked of its API server and of Kubeflow Pipelines."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import kubernetes
import urllib3
import yaml
from kubernetes.client import ApiClient, ApiException, AuthorizationV1Api, CoreV1Api, VersionApi

from hopline.runtime.errors import HoplineError
from pipelines.config.config import Config
from pipelines.config.workers import job_of
from pipelines.doctor.check import Answer, Check, missing, ok, unknown
from pipelines.doctor.programs import Version, shown, version_of
from pipelines.doctor.queue import NOT_FOUND, SECONDS, local_queue
from pipelines.kubeflow.connection import Connection, Server

OLDEST_KUBERNETES = (1, 31)  # of a Job's success policy
KUBEFLOW: Version = (2, 17)
SELF = "self"  # instead of a service account: the user of the kubeconfig
RUNNER = "pipeline-runner"  # Kubeflow's own account for steps
PROFILE = "default-editor"  # the same, in a namespace of a multi-user installation
_PORT_FORWARD = (
    "kubectl --namespace kubeflow port-forward service/ml-pipeline-ui 8080:80, then --host http://localhost:8080"
)
_ROLE = Path(__file__).parents[2] / "k8s" / "base" / "role.yaml"
_APPLY = "apply our overlay of this namespace: kubectl apply -k k8s/overlays/kubeflow (gke-kubeflow on GKE)"
_FORBIDDEN = 403
# The object without its content: a Secret's is never read.
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where runs are to happen.

    Attributes:
        namespace: of the launcher and the training workers.
        account: as whom the launcher runs: NAMESPACE/NAME of a service account, or "self".
        workers: service account of the training workers.
        claims: PersistentVolumeClaims that steps or workers mount.
        secrets: Secrets with the environment of steps or workers, or by which their images are pulled.
        queue: LocalQueue of the workers' Job, "" for none.
        server: Kubeflow Pipelines, None if it is not asked.
        launches: whether training is a Job of its own.
    """

    namespace: str
    account: str
    workers: str
    claims: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    queue: str = ""
    server: Server | None = None
    launches: bool = True

    @classmethod
    def of(cls, config: Config, namespace: str, account: str, server: Server | None) -> Self:
        """What `config` names, in `namespace`; without an `account` the one that steps are given."""
        cluster, job = config.cluster, job_of(config)
        # In a multi-user installation steps run in a profile's namespace, as its account.
        usual = PROFILE if server and server.namespace else RUNNER
        return cls(
            namespace=namespace,
            account=account or f"{namespace}/{cluster.service_account or usual}",
            workers=job.service_account,
            claims=_names(cluster.claim, job.claim),
            secrets=_names(
                cluster.secret, cluster.webhook_secret, job.secret, *cluster.pull_secrets, *job.pull_secrets
            ),
            queue=job.queue,
            server=server,
        )


@dataclass(frozen=True)
class Right:
    """To do `verb` with `resource`, as RBAC has it."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def checks(place: Place) -> list[Check]:
    """For the cluster of the kubeconfig's current context."""
    found = [Check("Kubernetes", _asking(version)), *objects(place)]
    if place.server:
        server = place.server
        found.append(Check("Kubeflow Pipelines", lambda: kubeflow(server)))
        found.append(Check("its credentials", lambda: credentials(server)))
    return found


def objects(place: Place) -> list[Check]:
    """That what a run needs of its namespace is there: without it the run's pods would wait without end."""
    found = [Check("namespace", _asking(lambda client: there(client, "namespaces", place.namespace)))]
    namespace, _, name = place.account.partition("/")
    if name:
        look = partial(there, kind="serviceaccounts", name=name, namespace=namespace)
        found.append(Check("steps' account", _asking(look)))
    if place.launches:
        found.append(Check("launcher's rights", _asking(lambda client: rights(client, place))))
        look = partial(there, kind="serviceaccounts", name=place.workers, namespace=place.namespace)
        found.append(Check("workers' account", _asking(look)))
    for claim in place.claims:
        found.append(Check(f"volume {claim}", _asking(partial(volume, name=claim, namespace=place.namespace))))
    for secret in place.secrets:
        look = partial(there, kind="secrets", name=secret, namespace=place.namespace)
        found.append(Check(f"Secret {secret}", _asking(look)))
    if place.queue:
        look = partial(local_queue, name=place.queue, namespace=place.namespace)
        found.append(Check(f"queue {place.queue}", _asking(look)))
    return found


def version(client: ApiClient) -> Answer:
    """Whether the API server answers, and is new enough."""
    said = VersionApi(client).get_code(_request_timeout=SECONDS).git_version
    found = version_of(said)
    if found and found < OLDEST_KUBERNETES:
        return missing(f"{said}, but {shown(OLDEST_KUBERNETES)} is needed", "upgrade the cluster")
    return ok(f"{said} at {client.configuration.host}")


def there(client: ApiClient, kind: str, name: str, namespace: str = "") -> Answer:
    """Whether the object of core/v1 is there."""
    path = f"/api/v1/namespaces/{namespace}/{kind}/{name}" if namespace else f"/api/v1/{kind}/{name}"
    try:
        client.call_api(
            path,
            "GET",
            header_params={"Accept": _METADATA},
            auth_settings=["BearerToken"],
            _preload_content=False,
            _request_timeout=SECONDS,
        )
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        remedy = "make kind-up makes it; elsewhere kubectl create secret generic" if kind == "secrets" else _APPLY
        return missing(f"{name} is not there", remedy)
    return ok(name)


def volume(client: ApiClient, name: str, namespace: str) -> Answer:
    """Whether the claim is there, and how far it is."""
    try:
        claim = CoreV1Api(client).read_namespaced_persistent_volume_claim(name, namespace, _request_timeout=SECONDS)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        return missing(f"{name} is not there", _APPLY)
    phase = claim.status.phase
    if phase == "Bound":
        return ok(", ".join(claim.spec.access_modes))
    # Some classes bind a claim to a volume when its first pod comes.
    return unknown(f"it is {phase}", f"kubectl --namespace {namespace} describe pvc {name}")


def needed() -> Iterator[Right]:
    """What the launcher's Role gives: each right once."""
    for rule in yaml.safe_load(_ROLE.read_text(encoding="utf-8"))["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield Right(group, resource, verb)


def rights(client: ApiClient, place: Place) -> Answer:
    """Whether the launcher may do all that it does."""
    asked = list(needed())
    try:
        denied = [right for right in asked if not _allowed(client, place, right)]
    except ApiException as error:
        if error.status != _FORBIDDEN:
            raise
        return unknown(
            f"you may not ask what {place.account} may do: {_message(error)}",
            "let an administrator run this, or ask for yourself: --service-account self",
        )
    if denied:
        return missing(f"{place.account} may not {', '.join(map(str, denied))}", _APPLY)
    return ok(f"{place.account}: all {len(asked)} in {place.namespace}")


def _allowed(client: ApiClient, place: Place, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": place.namespace, "verb": right.verb, "group": right.group, "resource": resource,
        "subresource": subresource,
    }  # fmt: skip
    api = AuthorizationV1Api(client)
    spec: dict[str, Any] = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    if place.account == SELF:
        answer = api.create_self_subject_access_review(body, _request_timeout=SECONDS)
    else:
        namespace, _, name = place.account.partition("/")
        spec["user"] = f"system:serviceaccount:{namespace}:{name}"
        spec["groups"] = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        answer = api.create_subject_access_review({**body, "kind": "SubjectAccessReview"}, _request_timeout=SECONDS)
    return bool(answer.status.allowed)


def kubeflow(server: Server) -> Answer:
    """Whether Kubeflow Pipelines answers, and is of the version that hopline is made for."""
    try:
        answer = Connection(server, patience=0.0).get("/apis/v2beta1/healthz")
    except HoplineError as error:
        return missing(error.message, f"{error.remedy}; the way there: {_PORT_FORWARD}")
    if not isinstance(said := answer.get("tag_name"), str):
        return missing(f"{server.host} is not Kubeflow Pipelines", f"correct --host; the way there: {_PORT_FORWARD}")
    found = version_of(said)
    if found is None:
        return unknown(f"it says that its version is {said}", f"see that it is {shown(KUBEFLOW)}")
    if found < KUBEFLOW:
        return missing(f"{said}, but {shown(KUBEFLOW)} is needed", "upgrade it: docs/upgrading.md")
    return ok(said) if found[:2] == KUBEFLOW else unknown(f"{said}; hopline is tested with {shown(KUBEFLOW)}")


def credentials(server: Server) -> Answer:
    """Whether Kubeflow Pipelines lets us list the runs of the namespace."""
    connection = Connection(server, patience=0.0)
    try:
        connection.get("/apis/v2beta1/runs", namespace=connection.namespace, page_size=1)
    except HoplineError as error:
        return missing(error.message, error.remedy)
    return ok(f"they let us see runs{f' in {connection.namespace}' if connection.namespace else ''}")


def _asking(look: Callable[[ApiClient], Answer]) -> Callable[[], Answer]:
    """`look` with a client for the current context; an API server that refuses or is not there is an answer."""

    def ask() -> Answer:
        configuration = kubernetes.client.Configuration()
        try:
            kubernetes.config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
        except (kubernetes.config.ConfigException, OSError) as error:
            return missing(f"no kubeconfig: {error}", "set KUBECONFIG; make kind-up writes build/kind/kubeconfig")
        configuration.retries = False
        try:
            return look(ApiClient(configuration))
        except ApiException as error:
            return unknown(f"the API server refuses: {error.status} {_message(error)}", "ask whoever gives you rights")
        except urllib3.exceptions.HTTPError as error:
            return missing(
                f"no answer from {configuration.host}: {error}", "start the cluster, or choose another context"
            )

    return ask


def _names(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
