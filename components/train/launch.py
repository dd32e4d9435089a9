"""Starts workers and waits for them, without a pipeline around: the checkpoints stay in `--training-dir`.

python -m components.train.launch --launcher kubernetes --job '{"claim": "hopline"}' --examples DIR --training-dir DIR
    --model-config JSON --train-config JSON --work-dir DIR
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from components.train import launcher as local
from hopline import program
from hopline.config import ModelConfig, TrainConfig
from hopline.section import require


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = program.parser("train.launch", "Trains with the workers that a launcher starts, here or on a cluster.")
    add_arguments(parser)
    parser.add_argument("--training-dir", type=Path, required=True, help="checkpoints and log of the whole group")
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what this program and the train step both take."""
    parser.add_argument("--examples", type=Path, required=True, help="folder of examples (preprocess)")
    parser.add_argument("--model-config", required=True, help="[model] as JSON; missing keys take their defaults")
    parser.add_argument("--train-config", required=True, help="[train] as JSON; missing keys take their defaults")
    parser.add_argument("--launcher", choices=["local", "kubernetes"], default="local", help="where the workers run")
    parser.add_argument("--job", default="{}", help="settings of the Job on a cluster, as JSON; it must name a claim")


def launch(options: argparse.Namespace, model_config: ModelConfig, config: TrainConfig, training: Path) -> None:
    """Trains in the folder `training` until the recipe is done.

    Raises:
        HoplineError: what ended the training.
    """
    examples, training = options.examples.absolute(), training.absolute()
    worker = ["--examples", str(examples), "--model-config", model_config.to_json()]
    worker += ["--train-config", config.to_json()]
    if options.launcher == "local":
        local.run_workers(worker, config.workers, training, config.restarts)
        return
    from components.train.cluster.launcher import run_workers
    from components.train.cluster.settings import JobSettings

    settings = JobSettings.from_json(options.job)
    settings.require_mounted("--examples", examples)
    run_workers(worker, config.workers, training, config.restarts, settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the launcher."""

    def run(options: argparse.Namespace) -> None:
        program.terminate_as_interrupt()
        model_config = ModelConfig.from_json(options.model_config)
        config = TrainConfig.from_json(options.train_config)
        require(
            config.start == "random",
            f'train.start is "{config.start}", but this program knows no registry',
            "run python -m components.train, or set train.start to random",
        )
        launch(options, model_config, config, options.training_dir)

    return program.run("train", arguments(), run, argv)


if __name__ == "__main__":
    sys.exit(main())
