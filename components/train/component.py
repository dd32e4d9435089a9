"""Declares `train` to Kubeflow; the program is `python -m components.train`."""

from kfp import dsl

from hopline.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def train(
    *,
    examples: dsl.Input[dsl.Dataset],
    model_config: str,
    train_config: str,
    registry: str,
    start_from: str,
    launcher: str,
    job: str,
    work_dir: str,
    model: dsl.Output[dsl.Model],
) -> None:
    """Trains a model on the examples, with the workers that `launcher` starts; `job` is their place in a cluster.

    It starts with the weights of the champion that `start_from` names, if it does.
    """
    from hopline.process import run_step

    arguments = {"model_config": model_config, "train_config": train_config, "launcher": launcher, "job": job}
    arguments |= {"registry": registry, "start_from": start_from, "examples": examples.path, "output": model.path}
    run_step("components.train", arguments, work_dir)
