"""Declares `train` to Kubeflow; the program is `python -m components.train`."""

from kfp import dsl

from hopline.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def train(
    *,
    examples: dsl.Input[dsl.Dataset],
    model_config: str,
    train_config: str,
    launcher: str,
    job: str,
    work_dir: str,
    model: dsl.Output[dsl.Model],
) -> None:
    """Trains a model on the examples, with the workers that `launcher` starts; `job` is their place in a cluster."""
    from hopline.process import run_step

    arguments = {"model_config": model_config, "train_config": train_config, "launcher": launcher, "job": job}
    run_step("components.train", {"examples": examples.path, **arguments, "output": model.path}, work_dir)
