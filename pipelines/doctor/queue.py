"""The queue of Kueue in which workers wait for their place."""

import json
from typing import Any

from kubernetes.client import ApiClient, ApiException

from pipelines.doctor.check import Answer, missing, ok, unknown

KUEUE = "kueue.x-k8s.io"
SECONDS = (5.0, 10.0)  # to connect, to read
NOT_FOUND = 404
_ASKED_FOR = {"cpu", "memory", "ephemeral-storage"}  # by every worker


def local_queue(client: ApiClient, name: str, namespace: str) -> Answer:
    """Whether the cluster has Kueue, and Kueue this queue, with quota for what workers ask for."""
    group = f"/apis/{KUEUE}"
    try:
        preferred = get_json(client, group)["preferredVersion"]["version"]
        queue = get_json(client, f"{group}/{preferred}/namespaces/{namespace}/localqueues/{name}")
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        return missing(f"{name} is not there", "install Kueue and make the LocalQueue, or leave job.queue empty")
    status = queue.get("status", {})
    inactive = next((c for c in status.get("conditions", []) if c["type"] == "Active" and c["status"] == "False"), None)
    if inactive:
        return missing(f"it is not active: {inactive.get('message', '')}", "mend its ClusterQueue")
    flavors = status.get("flavorsReservation", [])
    covered = {resource["name"] for flavor in flavors for resource in flavor.get("resources", [])}
    if flavors and (lacking := sorted(_ASKED_FOR - covered)):
        # Kueue's configuration, which says what it leaves out of account, cannot be asked for.
        return unknown(
            f"{name} has no quota for {' and '.join(lacking)}, which workers ask for",
            "give its ClusterQueue quota for it, or see that Kueue excludes it (resources.excludeResourcePrefixes)",
        )
    return ok(f"{name} of {queue.get('spec', {}).get('clusterQueue', 'a ClusterQueue')}")


def get_json(client: ApiClient, path: str) -> dict[str, Any]:
    """The object at `path`."""
    answer = client.call_api(
        path,
        "GET",
        header_params={"Accept": "application/json"},
        auth_settings=["BearerToken"],
        _preload_content=False,
        _return_http_data_only=True,
        _request_timeout=SECONDS,
    )
    return dict(json.loads(answer.data))
