"""The logs of pods that run, by way of Kubernetes itself.

Kubeflow's API reads a pod's log where its server may (version 2.17.0 for one user asks at the scope of the cluster,
which its role does not allow), and otherwise what was archived when the pod had ended.
"""

from collections.abc import Callable

import kubernetes
import urllib3

from pipelines.kubeflow.kubectl import load_configuration

_TIMEOUTS = (5.0, 30.0)  # to connect, to read


def live_logs(namespace: str) -> Callable[[str], str]:
    """Reads the log of the pod of a name in `namespace`, with kubectl's configuration; "" where it cannot.

    Raises:
        UserError: there is no such configuration.
    """
    load_configuration(needed=False)
    api = kubernetes.client.CoreV1Api()

    def read(pod: str) -> str:
        try:
            text = api.read_namespaced_pod_log(pod, namespace, container="main", _request_timeout=_TIMEOUTS)
        except (kubernetes.client.ApiException, urllib3.exceptions.HTTPError):
            return ""
        return str(text)

    return read
