"""What [cluster] makes of the pipeline's tasks: images, resources, rights, secrets and volumes of their pods."""

import copy
from collections.abc import Mapping
from typing import Any

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
        # Set all three: Kubeflow sets defaults for success and failure, and those override the general one.
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
        cpu, memory = _amounts(cluster, step)
        task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
        if seconds := cluster.train_seconds if step == "train" else cluster.step_seconds:
            kubernetes.set_timeout(task, seconds)
        if cluster.pull_secrets:
            kubernetes.set_image_pull_secrets(task, list(cluster.pull_secrets))
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


def _amounts(cluster: ClusterConfig, step: str) -> tuple[str, str]:
    """The processors and the memory of the step's own pod."""
    if IMAGES[step] == CONTROL:
        return _SMALL
    if step == "train" and cluster.launcher == "kubernetes":  # what a Job's workers get is in [job]
        return cluster.launcher_cpu, cluster.launcher_memory
    return cluster.cpu, cluster.memory


def _keep_to_itself(task: dsl.PipelineTask) -> None:
    """Has the pod of the train task get what is set on it, since its workers are in that pod."""
    spec = copy.copy(task.component_spec)
    spec.task_config_passthroughs = [
        dsl.TaskConfigPassthrough(field=passed.field, apply_to_task=True)
        for passed in spec.task_config_passthroughs or []
    ]
    task.component_spec = spec


def keep_resources(pipeline: Any) -> None:
    """Has the train task's own pod get the resources that `apply` sets on it, and the workers those of [job] alone.

    As the step is declared a task's resources are passed on to the workers.  The task's own pod, which fetches, builds
    and exports the model, would have none: the first to be evicted, and refused where a quota asks for them.  kfp lets
    no task have resources that its component does not pass on, so they are taken from the list after it has compiled.
    """
    passed = pipeline.pipeline_spec.components["comp-train"].task_config_passthroughs
    kept = [each for each in passed if each.field != dsl.TaskConfigField.RESOURCES.value]
    del passed[:]
    passed.extend(kept)
