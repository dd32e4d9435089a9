"""What the pipeline needs of a cluster, asked of its API server and of Kubeflow Pipelines."""

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import kubernetes
import urllib3
import yaml
from kubernetes.client import ApiClient, ApiException, AuthorizationV1Api, CoreV1Api, VersionApi

from pipelines.config.config import Config
from pipelines.doctor.check import Answer, Check, missing, ok, unknown
from pipelines.doctor.programs import Version, shown, version_of

OLDEST_KUBERNETES = (1, 31)  # of a Job's success policy
KUBEFLOW: Version = (2, 17)
SELF = "self"  # instead of a service account: whoever the kubeconfig says we are
RUNNER = "pipeline-runner"  # Kubeflow's own account for steps
_ROLE = Path(__file__).parents[2] / "k8s" / "base" / "role.yaml"
_SECONDS = (5.0, 10.0)  # to connect, to read
_APPLY = "apply our overlay of this namespace: kubectl apply -k k8s/overlays/kubeflow (gke-kubeflow on GKE)"
_FORBIDDEN, _NOT_FOUND = 403, 404
# The object without its content: a Secret's is nobody's business here.
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where runs are to happen.

    Attributes:
        namespace: of the launcher and the training workers.
        account: as whom the launcher runs: NAMESPACE/NAME of a service account, or "self".
        workers: service account of the training workers.
        claims: PersistentVolumeClaims that steps or workers mount.
        secrets: Secrets with the environment of steps or workers.
        host: URL of Kubeflow Pipelines, "" if it is not asked.
    """

    namespace: str
    account: str
    workers: str
    claims: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    host: str = ""

    @classmethod
    def of(cls, config: Config, namespace: str, account: str, host: str) -> Self:
        """What `config` names, in `namespace`; without an `account` the one that steps are given."""
        steps = f"{namespace}/{config.cluster.service_account or RUNNER}"
        return cls(
            namespace=namespace,
            account=account or steps,
            workers=config.job.service_account,
            claims=_names(config.cluster.claim, config.job.claim),
            secrets=_names(config.cluster.secret, config.cluster.webhook_secret, config.job.secret),
            host=host,
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
    found = [
        Check("Kubernetes", _asking(version)),
        Check("namespace", _asking(lambda client: there(client, "namespaces", place.namespace))),
        Check("launcher's rights", _asking(lambda client: rights(client, place))),
        Check(
            "workers' account", _asking(lambda client: there(client, "serviceaccounts", place.workers, place.namespace))
        ),
    ]
    for claim in place.claims:
        found.append(Check(f"volume {claim}", _asking(partial(volume, name=claim, namespace=place.namespace))))
    for secret in place.secrets:
        look = partial(there, kind="secrets", name=secret, namespace=place.namespace)
        found.append(Check(f"Secret {secret}", _asking(look)))
    if place.host:
        found.append(Check("Kubeflow Pipelines", lambda: kubeflow(place.host)))
    return found


def version(client: ApiClient) -> Answer:
    """Whether the API server answers, and is new enough."""
    said = VersionApi(client).get_code(_request_timeout=_SECONDS).git_version
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
            _request_timeout=_SECONDS,
        )
    except ApiException as error:
        if error.status != _NOT_FOUND:
            raise
        remedy = "make kind-up makes it; elsewhere kubectl create secret generic" if kind == "secrets" else _APPLY
        return missing(f"{name} is not there", remedy)
    return ok(name)


def volume(client: ApiClient, name: str, namespace: str) -> Answer:
    """Whether the claim is there, and how far it is."""
    try:
        claim = CoreV1Api(client).read_namespaced_persistent_volume_claim(name, namespace, _request_timeout=_SECONDS)
    except ApiException as error:
        if error.status != _NOT_FOUND:
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
        answer = api.create_self_subject_access_review(body, _request_timeout=_SECONDS)
    else:
        namespace, _, name = place.account.partition("/")
        spec["user"] = f"system:serviceaccount:{namespace}:{name}"
        spec["groups"] = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        answer = api.create_subject_access_review({**body, "kind": "SubjectAccessReview"}, _request_timeout=_SECONDS)
    return bool(answer.status.allowed)


def kubeflow(host: str) -> Answer:
    """Whether Kubeflow Pipelines answers, and is of the version that hopline is made for."""
    url = f"{host.rstrip('/')}/apis/v2beta1/healthz"
    remedy = (
        "kubectl --namespace kubeflow port-forward service/ml-pipeline-ui 8080:80, then --host http://localhost:8080"
    )
    if not url.startswith(("http://", "https://")):
        return missing(f'"{host}" is no URL', remedy)
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS[1]) as answer:  # noqa: S310  checked above
            said = str(json.loads(answer.read(100_000))["tag_name"])
    except OSError as error:
        return missing(f"no answer from {url}: {error}", remedy)
    except (ValueError, KeyError, TypeError):
        return missing(f"{url} is not Kubeflow Pipelines", remedy)
    found = version_of(said)
    if found is None:
        return unknown(f"it says that its version is {said}", f"see that it is {shown(KUBEFLOW)}")
    if found < KUBEFLOW:
        return missing(f"{said}, but {shown(KUBEFLOW)} is needed", "upgrade it: docs/upgrading.md")
    return ok(said) if found[:2] == KUBEFLOW else unknown(f"{said}; hopline is tested with {shown(KUBEFLOW)}")


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
