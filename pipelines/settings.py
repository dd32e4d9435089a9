"""What [cluster] makes of the pipeline's tasks: images, resources, rights, secrets and volumes of their pods."""

import copy
from collections.abc import Mapping

from kfp import dsl, kubernetes

from components.images import CONTROL, USER
from components.steps import IMAGES, image_of
from hopline.schema import WEBHOOK_VARIABLE
from pipelines.config.cluster import ClusterConfig

_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_OPTIONAL = ("AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3")
_BACKOFF = "60s"
_SMALL = ("100m", "512Mi")  # processors and memory of a step that only reads, decides and copies


def pipeline_config(cluster: ClusterConfig) -> dsl.PipelineConfig:
    """How long a run may take, and how long what is left of it stays."""
    keep = cluster.keep_seconds or None
    return dsl.PipelineConfig(
        active_deadline_seconds=cluster.max_seconds or None,
        # All three: Kubeflow's own settings have the last two, and they go before the first.
        ttl_seconds_after_finished=keep,
        ttl_seconds_after_success=keep,
        ttl_seconds_after_failure=keep,
    )


def apply(cluster: ClusterConfig, tasks: Mapping[str, dsl.PipelineTask]) -> None:
    """Gives each task, by the name of its step, what `cluster` says.

    Kubeflow itself drops all capabilities, forbids more rights and sets the seccomp profile.
    """
    for step, task in tasks.items():
        task.set_container_image(image_of(step, cluster.image_prefix, cluster.tag))
        if step != "train" or cluster.launcher == "local":  # what a Job's workers get is in [job]
            cpu, memory = _SMALL if IMAGES[step] == CONTROL else (cluster.cpu, cluster.memory)
            task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
        if cluster.retries:
            task.set_retry(cluster.retries, backoff_duration=_BACKOFF, backoff_factor=2)
        kubernetes.set_image_pull_policy(task, cluster.pull_policy)
        kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
        if step == "notify":
            if cluster.webhook_secret:
                kubernetes.use_secret_as_env(task, cluster.webhook_secret, {WEBHOOK_VARIABLE: WEBHOOK_VARIABLE})
            continue
        if cluster.secret:
            kubernetes.use_secret_as_env(task, cluster.secret, {key: key for key in _CREDENTIALS})
            kubernetes.use_secret_as_env(task, cluster.secret, {key: key for key in _OPTIONAL}, optional=True)
        if cluster.claim:
            kubernetes.mount_pvc(task, cluster.claim, cluster.mount)
    if cluster.launcher == "local":
        _keep_to_itself(tasks["train"])


def _keep_to_itself(task: dsl.PipelineTask) -> None:
    """Has the pod of the train task get what is set on it, since its workers are in that pod."""
    spec = copy.copy(task.component_spec)
    spec.task_config_passthroughs = [
        dsl.TaskConfigPassthrough(field=passed.field, apply_to_task=True)
        for passed in spec.task_config_passthroughs or []
    ]
    task.component_spec = spec
