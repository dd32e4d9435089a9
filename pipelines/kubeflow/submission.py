"""What `hopline submit` sends: a version of the pipeline, and a run's parameters."""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from components.images import tag_of
from components.steps import IMAGES, image_of
from hopline.artifacts import git_revision
from hopline.config.corpus import EMBEDDED_CORPORA
from hopline.runtime.errors import UserError
from hopline.runtime.version import VERSION
from hopline.schema import SPLITS
from pipelines.compiled import pipeline_yaml
from pipelines.config.cluster import ClusterConfig
from pipelines.config.config import Config
from pipelines.config.workers import require_runnable
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.resources import Run, Version
from pipelines.pipeline import parameters

PIPELINE = "hopline"
DESCRIPTION = "From raw text to a champion: a memory-network language model"
_CHANGES = "+changes"
_STORES = ("gs://", "s3://")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """All that is sent.

    Attributes:
        content: the compiled pipeline; it depends on the code and on [cluster], not on the other sections.
        revision: the commit that it was compiled from, with `+changes` where files differ, or "".
        parameters: of the run.
        experiment: whose run it is.
        run_name: shown to people.
        service_account: of the pods; "" for the server's default.
        images: of the steps.
    """

    content: bytes
    revision: str
    parameters: dict[str, str]
    experiment: str
    run_name: str
    service_account: str
    images: tuple[str, ...]

    @property
    def digest(self) -> str:
        """What tells this content from another."""
        return hashlib.sha256(self.content).hexdigest()[:8]

    @property
    def version_names(self) -> tuple[str, ...]:
        """Names for the version, the first that is free or holds this content is taken.

        1. The commit, if the content is all of it; 2. the commit, or the version without one, and the content's digest.
        """
        commit, changes, _ = self.revision.partition(_CHANGES)
        base = commit[:12] or VERSION
        exact = f"{base}-changes-{self.digest}" if changes else f"{base}-{self.digest}"
        return (base, exact) if commit and not changes else (exact,)


def prepare(config: Config, run_name: str = "") -> Submission:
    """Checks and compiles what `config` asks for.

    Raises:
        UserError: pods cannot reach what it names, or no run could come to its end.
    """
    cluster = config.cluster
    require_runnable(config)
    if not cluster.registry:
        raise UserError(
            "no registry is named that the pods can reach",
            remedy="pass --registry gs://bucket/path or s3://bucket/path, or set cluster.registry",
        )
    _require_reachable("cluster.registry", cluster.registry, config)
    for split in SPLITS:
        if pattern := getattr(config.corpus, split):
            _require_reachable(f"corpus.{split}", pattern, config)
    revision = git_revision()
    name = run_name or f"{PIPELINE} {datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S')} {revision[:12]}".rstrip()
    places = {"registry": cluster.registry, "launcher": cluster.launcher}
    return Submission(
        content=pipeline_yaml(Config(cluster=_compiled_in(config))).encode(),
        revision=revision,
        parameters={**parameters(config), **places},
        experiment=cluster.experiment,
        run_name=name,
        service_account=cluster.service_account,
        images=tuple(sorted({image_of(step, cluster.image_prefix, cluster.tag) for step in IMAGES})),
    )


def warnings(config: Config, submission: Submission) -> Iterable[str]:
    """What may surprise, without being wrong."""
    if submission.revision and config.cluster.tag == VERSION:
        yield (
            f"the images' tag {VERSION} names no commit: Kubeflow takes results of other code under that name for this "
            f"code's; build with `make images`, and --set cluster.tag={tag_of(submission.revision)}"
        )


def find(client: Client, submission: Submission) -> Version | None:
    """The version with this content, if the server has it."""
    pipeline = client.find_pipeline(PIPELINE)
    for name in submission.version_names if pipeline else ():
        version = client.find_version(str(pipeline), name)
        if version and version.tags.get("content") == submission.digest:
            return version
    return None


def upload(client: Client, submission: Submission) -> Version:
    """The version with this content, which is uploaded unless the server has it."""
    pipeline = client.pipeline(PIPELINE, DESCRIPTION)
    for name in submission.version_names:
        version = client.find_version(pipeline, name) or client.upload_version(
            pipeline, name, submission.content, tags={"content": submission.digest}
        )
        if version.tags.get("content") == submission.digest:
            return version
    raise UserError(
        f"the version {version.name} of the pipeline {PIPELINE} holds something else than its name says",
        remedy="delete it on the server's page, or commit a change",
    )


def start(client: Client, submission: Submission, version: Version) -> Run:
    """Starts a run of the version, in the experiment, which is made if there is none."""
    return client.create_run(
        submission.run_name,
        version,
        submission.parameters,
        experiment=client.experiment(submission.experiment),
        description=f"submitted by hopline {VERSION}, {uuid.uuid4().hex[:12]}",
        service_account=submission.service_account,
    )


def _compiled_in(config: Config) -> ClusterConfig:
    """[cluster] without what is a run's and not the pipeline's, so that equal pipelines are one version."""
    empty = ClusterConfig()
    run = {key: getattr(empty, key) for key in ("registry", "experiment", "service_account")}
    return replace(config.cluster, **run)


def _require_reachable(key: str, place: str, config: Config) -> None:
    """Raises `UserError` for a place that only this machine has."""
    cluster = config.cluster
    inside = bool(cluster.claim) and place.startswith(f"{cluster.mount.rstrip('/')}/")
    if not (place.startswith(_STORES) or place in EMBEDDED_CORPORA or inside):
        raise UserError(
            f"{key} is {place}, which is a place on this machine: the pods of a cluster do not see it",
            remedy=f"copy it to an object store and name it {' or '.join(f'{store}...' for store in _STORES)}; or to a "
            "volume, with cluster.claim for its name and cluster.mount for its place",
        )
