"""kubectl's configuration, by which --kube-namespace reaches Kubernetes itself."""

import os

import kubernetes

from hopline.runtime.errors import UserError


def load_configuration() -> None:
    """Makes the clients of Kubernetes that are made from now on those of kubectl's current context.

    Raises:
        UserError: there is no such configuration.
    """
    try:
        kubernetes.config.load_kube_config(os.environ.get("KUBECONFIG"))
    except kubernetes.config.ConfigException as error:
        raise UserError(
            f"--kube-namespace needs kubectl's configuration: {error}", remedy="set KUBECONFIG, or leave it out"
        ) from error
