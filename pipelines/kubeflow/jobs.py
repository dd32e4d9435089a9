"""The Job of a run's workers, by way of Kubernetes itself."""

import json
from collections.abc import Iterable
from typing import Any

import kubernetes
import urllib3

from hopline.runtime.errors import InternalError, UserError
from hopline.schema import WORKERS_ANNOTATION
from pipelines.kubeflow.kubectl import load_configuration

_TIMEOUTS = (5.0, 30.0)  # to connect, to read
_LABELS = "app.kubernetes.io/component=training"
_PATH = "/apis/batch/v1/namespaces/{namespace}/jobs"


def ask_for_workers(namespace: str, pods: Iterable[str], workers: int) -> str:
    """Asks the launcher in one of `pods` to go on with `workers` workers, and returns the name of their Job.

    Raises:
        UserError: kubectl has no configuration, none of the pods has a Job, or Kubernetes refuses us.
        InternalError: Kubernetes does not answer.
    """
    load_configuration(needed=True)
    client, launchers = kubernetes.client.ApiClient(), set(pods)
    path = _PATH.format(namespace=namespace)
    for job in _request(client, "GET", path, query={"labelSelector": _LABELS})["items"]:
        metadata = job["metadata"]
        if launchers & {owner["name"] for owner in metadata.get("ownerReferences", [])}:
            change = {"metadata": {"annotations": {WORKERS_ANNOTATION: str(workers)}}}
            _request(client, "PATCH", f"{path}/{metadata['name']}", body=change)
            return str(metadata["name"])
    raise UserError(
        f"no Job in the namespace {namespace} is that of this run's workers",
        remedy="wait until the step train has begun; with cluster.launcher = local there is none: workers are in the "
        "step's own pod",
    )


def _request(
    client: kubernetes.client.ApiClient,
    method: str,
    path: str,
    query: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    content = "application/merge-patch+json" if method == "PATCH" else "application/json"
    try:
        answer = client.call_api(
            path,
            method,
            query_params=query or {},
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=False,
            _request_timeout=_TIMEOUTS,
        )
    except kubernetes.client.ApiException as error:
        raise UserError(
            f"Kubernetes refuses {method} {path}: {error.status} {error.reason}",
            remedy="ask for the rights to list and to patch Jobs in that namespace",
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise InternalError(f"Kubernetes does not answer: {error}", remedy="try again when it does") from error
    return dict(json.loads(answer.data))
