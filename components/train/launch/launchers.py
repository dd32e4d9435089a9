"""Starts workers and waits for them, without a pipeline around: the checkpoints stay in `--training-dir`.

python -m components.train.launch --launcher kubernetes --job '{"claim": "hopline"}' --examples DIR --training-dir DIR
    --model-config JSON --train-config JSON --work-dir DIR

On a cluster workers may meet in an object store instead of on a volume: --job '{"secret": "store"}'
    --examples gs://bucket/examples --training-dir gs://bucket/training
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from components.train.launch import local
from hopline import artifacts, schema
from hopline.config.job import JobConfig
from hopline.config.model import ModelConfig
from hopline.config.section import require
from hopline.config.train import TrainConfig
from hopline.runtime import places, program
from hopline.runtime.errors import UserError
from hopline.schema import EXAMPLES
from hopline.store import trees
from hopline.store.objects import Store


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = program.parser("train.launch", "Trains with the workers that a launcher starts, here or on a cluster.")
    add_arguments(parser)
    parser.add_argument("--examples", required=True, help="folder or URI of examples (preprocess)")
    parser.add_argument("--training-dir", required=True, help="folder or URI of the whole group's checkpoints and log")
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this program and the train step both take."""
    parser.add_argument("--model-config", required=True, help="[model] as JSON; missing keys take their defaults")
    parser.add_argument("--train-config", required=True, help="[train] as JSON; missing keys take their defaults")
    parser.add_argument("--launcher", choices=["local", "kubernetes"], default="local", help="where the workers run")
    parser.add_argument("--job", default="{}", help="[job] as JSON: the workers' place and resources on a cluster")
    parser.add_argument("--task-config", default="{}", help="what Kubeflow has for the workers' pods, as JSON")


def launch(
    options: argparse.Namespace,
    model_config: ModelConfig,
    config: TrainConfig,
    examples: Path | str,
    training: Path | str,
) -> None:
    """Trains in the folder, or at the URI, `training` until the recipe is done.

    Args:
        options: what `add_arguments` has added.
        model_config: the model's shape.
        config: the recipe.
        examples: folder or URI, as the workers see them.
        training: folder or URI, as the workers see it.

    Raises:
        HoplineError: what ended the training.
    """
    examples, training = _absolute(examples), _absolute(training)
    worker = ["--examples", str(examples), "--model-config", model_config.to_json()]
    worker += ["--train-config", config.to_json()]
    if options.launcher == "local":
        if not isinstance(training, Path):
            raise UserError(f"workers of this machine cannot train in {training}", remedy="name a folder")
        local.run_workers(worker, config.workers, training, config.restarts, allowed=partial(_divides, config, 1))
        return
    from components.train.launch.cluster.launcher import run_workers
    from components.train.launch.cluster.task import TaskConfig

    job = JobConfig.from_json(options.job)
    if isinstance(examples, Path):
        job.require_mounted("--examples", examples)
    task = TaskConfig.from_json(options.task_config)
    allowed = partial(_divides, config, job.accelerators)
    run_workers(worker, config.workers, training, config.restarts, job, task, allowed=allowed)


def _divides(config: TrainConfig, accelerators: int, workers: int) -> bool:
    """Whether so many workers, each with so many accelerators or with none, have equal parts of the batch."""
    return config.sequences % (workers * max(1, accelerators)) == 0


def place_examples(folder: Path, offered: str, store: str) -> str:
    """A URI from which workers that have credentials for the URI `store` can fetch the examples in `folder`.

    1. `offered`, where Kubeflow keeps them, if that is the same bucket and they are there;
    2. below `store`, where they are sent now unless they are there already.
    """
    manifest = (folder / schema.MANIFEST).read_bytes()
    if places.is_remote(offered) and _bucket(offered) == _bucket(store):
        found = Store(offered).read(schema.MANIFEST)
        if found and found[0] == manifest:
            return offered
    uri = f"{store}/{EXAMPLES}/{artifacts.read_manifest(folder, EXAMPLES).id}"
    trees.send_tree(folder, uri, "train")
    return uri


def _bucket(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{'s3' if scheme == 'minio' else scheme}://{rest.partition('/')[0]}"


def _absolute(place: Path | str) -> Path | str:
    return place.absolute() if isinstance(place, Path) else place


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the launcher."""

    def run(options: argparse.Namespace) -> None:
        program.terminate_as_interrupt()
        model_config, config = ModelConfig.from_json(options.model_config), TrainConfig.from_json(options.train_config)
        require(
            config.start == "random",
            f'train.start is "{config.start}", but this program knows no registry',
            "run python -m components.train, or set train.start to random",
        )
        examples, training = places.parse_place(options.examples), places.parse_place(options.training_dir)
        launch(options, model_config, config, examples, training)

    return program.run("train", arguments(), run, argv)
