"""kubectl's configuration, by which --kube-namespace reaches Kubernetes itself."""

import os

import kubernetes

from hopline.runtime.errors import UserError


def load_configuration(*, needed: bool) -> None:
    """Makes the clients of Kubernetes that are made from now on those of kubectl's current context.

    Args:
        needed: whether the command does nothing without --kube-namespace, so that no remedy is to leave it out.

    Raises:
        UserError: there is no such configuration.
    """
    try:
        kubernetes.config.load_kube_config(os.environ.get("KUBECONFIG"))
    except kubernetes.config.ConfigException as error:
        raise UserError(
            f"--kube-namespace needs kubectl's configuration: {error}",
            remedy="set KUBECONFIG" if needed else "set KUBECONFIG, or leave out --kube-namespace",
        ) from error
