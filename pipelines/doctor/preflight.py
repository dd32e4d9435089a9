"""What a run needs of its namespace, looked at before the run is sent: pods that lack it would wait without end."""

from dataclasses import replace

from hopline.runtime.errors import UserError
from pipelines.config.config import Config
from pipelines.doctor.check import State, diagnose
from pipelines.doctor.cluster import Place, objects
from pipelines.kubeflow.connection import Server

_LIMIT_SECONDS = 15.0  # for one look


def require_ready(config: Config, namespace: str, server: Server) -> list[str]:
    """Looks, as kubectl's configuration lets us, for accounts, rights, Secrets, claims and the queue of `config`.

    Returns:
        What could not be checked, a line each.

    Raises:
        UserError: something is not there.
    """
    place = replace(Place.of(config, namespace, "", server), launches=config.cluster.launcher == "kubernetes")
    if not place.launches:
        place = replace(place, queue="", secrets=_without(place.secrets, config))
    rows = [(finding.name, finding.answer) for finding in diagnose(objects(place), _LIMIT_SECONDS)]
    lacking = [(name, answer) for name, answer in rows if answer.state is State.MISSING]
    if lacking:
        raise UserError(
            f"a run in the namespace {namespace} would wait without end: "
            + "; ".join(f"{name}: {answer.found}" for name, answer in lacking),
            remedy="; ".join(dict.fromkeys(answer.remedy for _, answer in lacking if answer.remedy))
            + "; or send it all the same: --no-preflight",
        )
    return [f"{name}: {answer.found}" for name, answer in rows if answer.state is State.UNKNOWN]


def _without(secrets: tuple[str, ...], config: Config) -> tuple[str, ...]:
    """The Secrets but for those that only a Job's workers would need."""
    cluster = config.cluster
    of_steps = {cluster.secret, cluster.webhook_secret, *cluster.pull_secrets}
    return tuple(secret for secret in secrets if secret in of_steps)
