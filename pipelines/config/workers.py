"""What a Job's workers are given by [cluster] where [job] leaves it open, and what a cluster cannot run at all."""

import dataclasses

from components.steps import image_of
from hopline.config.job import JobConfig
from hopline.config.section import require
from pipelines.config.config import Config

_AMAZON = ("s3://", "minio://")


def job_of(config: Config) -> JobConfig:
    """[job] as the train step gets it.

    The image is the train step's, the Secrets to pull it are the steps', and so are the credentials of an S3 store.
    """
    job, cluster = config.job, config.cluster
    return dataclasses.replace(
        job,
        image=job.image or image_of("train", cluster.image_prefix, cluster.tag),
        pull_secrets=job.pull_secrets or cluster.pull_secrets,
        secret=job.secret or (cluster.secret if job.store.startswith(_AMAZON) else ""),
    )


def require_runnable(config: Config) -> None:
    """Raises `UserError`: no run of the pipeline on a cluster could come to its end."""
    if config.cluster.launcher != "kubernetes":
        return
    require(
        not config.job.claim,
        f'job.claim is "{config.job.claim}", but a Job\'s workers cannot see the examples, which Kubeflow keeps in its '
        "object store",
        "set job.store to gs://bucket/prefix or s3://bucket/prefix instead, where workers meet",
    )
    require(
        bool(config.job.store),
        'cluster.launcher is "kubernetes", but job.store is empty: workers on a cluster need a place to meet',
        'set job.store to gs://bucket/prefix or s3://bucket/prefix, or cluster.launcher to "local"',
    )
