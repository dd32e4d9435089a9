"""Declares `train` to Kubeflow; the program is `python -m components.train`.

What is set on the task is meant for the workers: with `launcher` kubernetes they are pods of their own, and this task's
pod, which only watches them, gets none of it but environment and volumes, by which it reaches what they reach.
"""

from kfp import dsl

from components.images import TRAIN

_WORKERS = [
    dsl.TaskConfigField.RESOURCES,
    dsl.TaskConfigField.KUBERNETES_AFFINITY,
    dsl.TaskConfigField.KUBERNETES_TOLERATIONS,
    dsl.TaskConfigField.KUBERNETES_NODE_SELECTOR,
    dsl.TaskConfigPassthrough(field=dsl.TaskConfigField.ENV, apply_to_task=True),
    dsl.TaskConfigPassthrough(field=dsl.TaskConfigField.KUBERNETES_VOLUMES, apply_to_task=True),
]


@dsl.component(base_image=TRAIN, install_kfp_package=False, task_config_passthroughs=_WORKERS)
def train(
    *,
    examples: dsl.Input[dsl.Dataset],
    model_config: str,
    train_config: str,
    registry: str,
    start_from: str,
    pretrained: str,
    launcher: str,
    job: str,
    work_dir: str,
    task_config: dsl.TaskConfig,
    model: dsl.Output[dsl.Model],
) -> None:
    """Trains a model on the examples, with the workers that `launcher` starts; `job` is their place in a cluster.

    It starts with the weights of the champion that `start_from` names, if it does.  `pretrained` is what `resolve`
    found in the file of vectors: an argument, so that Kubeflow's cache knows one content of that file from another.
    """
    import dataclasses
    import json

    from hopline.runtime.process import run_step

    arguments = {"model_config": model_config, "train_config": train_config, "launcher": launcher, "job": job}
    arguments |= {"registry": registry, "start_from": start_from, "pretrained": pretrained}
    arguments["task_config"] = json.dumps(dataclasses.asdict(task_config))
    places = {"examples": examples.path, "examples_uri": examples.uri, "output": model.path}
    run_step("components.train", {**arguments, **places}, work_dir)
