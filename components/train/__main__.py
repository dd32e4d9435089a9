"""Examples to a model: starts the workers, then exports the best weights.

python -m components.train --examples DIR --model-config JSON --train-config JSON --output DIR --work-dir DIR
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from components.train.launcher import run_workers
from hopline import artifacts, program
from hopline.config import ModelConfig, TrainConfig
from hopline.schema import EXAMPLES, TRANSFORM_FOLDER

KIND = "model"
_TRAINING = "training"


def arguments() -> argparse.ArgumentParser:
    """The step's command line."""
    parser = program.parser("train", "Trains a memory network on examples and exports the best weights.")
    parser.add_argument("--examples", type=Path, required=True, help="folder of examples (preprocess)")
    parser.add_argument("--model-config", required=True, help="[model] as JSON; missing keys take their defaults")
    parser.add_argument("--train-config", required=True, help="[train] as JSON; missing keys take their defaults")
    parser.add_argument("--launcher", choices=["local"], default="local", help="where the workers run")
    parser.add_argument("--output", type=Path, required=True, help="folder to make, with the model")
    return parser


def train(options: argparse.Namespace) -> None:
    """Gives `--output` the model that examples and configuration determine."""
    program.terminate_as_interrupt()
    model_config = ModelConfig.from_json(options.model_config)
    config = TrainConfig.from_json(options.train_config)
    examples = artifacts.verify(options.examples, EXAMPLES)
    key = artifacts.content_key(
        examples=examples.id,
        model=model_config.to_dict(),
        train=config.to_dict(),
        code=artifacts.code_digest("hopline", "components.train"),
    )

    def build(scratch: Path, result: Path) -> None:
        training = scratch / _TRAINING
        worker_arguments = ["--examples", str(options.examples.absolute())]
        worker_arguments += ["--model-config", model_config.to_json(), "--train-config", config.to_json()]
        run_workers(worker_arguments, config.workers, training)
        _export(training, options.examples, examples, model_config, config, result)

    artifacts.produce(options.output, options.work_dir, "train", KIND, key, build)


def _export(
    training: Path,
    examples: Path,
    manifest: artifacts.Manifest,
    model_config: ModelConfig,
    config: TrainConfig,
    result: Path,
) -> None:
    """Writes the model directory from the last checkpoint's best weights."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # the export computes nothing worth a GPU
    from components.train import checkpoint
    from components.train.export import export
    from components.train.trainer import CHECKPOINTS, CURVE_FILE, LOG_FILE, build_model, set_weights
    from hopline.metrics import perplexity

    newest = checkpoint.load_newest(training / CHECKPOINTS)
    assert newest is not None and newest.state.best_valid_loss is not None, "the workers end with a checkpoint"
    vocabulary_size = manifest.facts["vocabulary_size"]
    model = build_model(model_config, vocabulary_size, config)
    set_weights(model, newest.best)
    export(model, examples / TRANSFORM_FOLDER, config.targets, result)
    shutil.copy2(training / LOG_FILE, result)
    shutil.copy2(training / CURVE_FILE, result)
    sections = {"model": model_config.to_dict(), "train": config.to_dict()}
    artifacts.write_json(result / "config.json", {**sections, "vocabulary_size": vocabulary_size})
    artifacts.seal(
        result,
        KIND,
        parents={EXAMPLES: manifest.id},
        config=sections,
        facts={
            "vocabulary_size": vocabulary_size,
            "fingerprint": manifest.facts["fingerprint"],
            "best_valid_perplexity": perplexity(newest.state.best_valid_loss),
            "steps": newest.state.step,
            "ended": newest.state.finished,
            "parameters": model.count_params(),
        },
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step."""
    return program.run("train", arguments(), train, argv)


if __name__ == "__main__":
    sys.exit(main())
