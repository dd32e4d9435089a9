"""The logs of pods that run, by way of Kubernetes itself.

Kubeflow's API reads a pod's log where its server may (version 2.17.0 for one user asks at the scope of the cluster,
which its role does not allow), and otherwise what was archived when the pod had ended.
"""

import os
from collections.abc import Callable

import kubernetes
import urllib3

from hopline.runtime.errors import UserError

_TIMEOUTS = (5.0, 30.0)  # to connect, to read


def live_logs(namespace: str) -> Callable[[str], str]:
    """Reads the log of the pod of a name in `namespace`, with kubectl's configuration; "" where it cannot.

    Raises:
        UserError: there is no such configuration.
    """
    try:
        kubernetes.config.load_kube_config(os.environ.get("KUBECONFIG"))
    except kubernetes.config.ConfigException as error:
        raise UserError(
            f"--kube-namespace needs kubectl's configuration: {error}", remedy="set KUBECONFIG, or leave it out"
        ) from error
    api = kubernetes.client.CoreV1Api()

    def read(pod: str) -> str:
        try:
            text = api.read_namespaced_pod_log(pod, namespace, container="main", _request_timeout=_TIMEOUTS)
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError):
            return ""
        return str(text)

    return read
