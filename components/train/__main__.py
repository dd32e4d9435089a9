"""Examples to a model: starts the workers, then exports the best weights.

python -m components.train --examples DIR --model-config JSON --train-config JSON --output DIR --work-dir DIR

With `--launcher kubernetes` the workers meet on a volume that is mounted here too (`job.claim`; --work-dir is on it),
or in an object store (`job.store`): they fetch the examples from there, and this step the checkpoint they end with.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.train import checkpoint
from components.train.launch import add_arguments, launch, place_examples
from components.train.stored import StoredTraining
from hopline import artifacts, program, storage
from hopline.config import ModelConfig, TrainConfig
from hopline.errors import InternalError
from hopline.job import JobConfig
from hopline.schema import EXAMPLES, TRANSFORM_FOLDER

KIND = "model"
_TRAINING = "training"


def arguments() -> argparse.ArgumentParser:
    """The step's command line."""
    parser = program.parser("train", "Trains a memory network on examples and exports the best weights.")
    add_arguments(parser)
    parser.add_argument("--examples", type=Path, required=True, help="folder of examples (preprocess)")
    parser.add_argument("--examples-uri", default="", help="where else the same examples are, if in an object store")
    parser.add_argument("--output", type=Path, required=True, help="folder to make, with the model")
    return parser


def train(options: argparse.Namespace) -> None:
    """Gives `--output` the model that examples and configuration determine."""
    program.terminate_as_interrupt()
    model_config = ModelConfig.from_json(options.model_config)
    config, job = TrainConfig.from_json(options.train_config), JobConfig.from_json(options.job)
    if options.launcher == "kubernetes":
        job.require_place()
    examples = artifacts.verify(options.examples, EXAMPLES)
    key = artifacts.content_key(
        examples=examples.id,
        model=model_config.to_dict(),
        train=config.determining(),
        code=artifacts.code_digest("hopline", "components.train"),
    )

    def build(scratch: Path, result: Path) -> None:
        training = scratch / _TRAINING
        if options.launcher == "kubernetes" and job.store:
            _train_in_store(options, model_config, config, f"{job.store}/{_TRAINING}/{key}", training)
        else:
            launch(options, model_config, config, options.examples, training)
        facts = _export(training, options.examples, examples, model_config, config, result)
        sections = {"model": model_config.to_dict(), "train": config.determining()}
        storage.write_json(result / "config.json", {**sections, **facts})
        facts["fingerprint"] = examples.facts["fingerprint"]
        artifacts.seal(result, KIND, parents={EXAMPLES: examples.id}, config=sections, facts=facts)

    artifacts.produce(options.output, options.work_dir, "train", KIND, key, build)


def _train_in_store(
    options: argparse.Namespace, model_config: ModelConfig, config: TrainConfig, uri: str, training: Path
) -> None:
    """Trains at `uri` and makes `training` what workers of this machine would have made it."""
    from components.train.log import TrainingLog

    store = JobConfig.from_json(options.job).store
    launch(options, model_config, config, place_examples(options.examples, options.examples_uri, store), uri)
    if step := StoredTraining(uri, training).fetch_newest():
        TrainingLog(training / checkpoint.LOG_FILE, step).close()  # makes the event file


def _export(
    training: Path,
    folder: Path,
    examples: artifacts.Manifest,
    model_config: ModelConfig,
    config: TrainConfig,
    result: Path,
) -> dict[str, Any]:
    """Writes the best weights of the last checkpoint, the log and the pictures into `result`; returns the facts."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # the export computes nothing worth a GPU
    from components.train.attention import write_attention
    from components.train.events import EVENTS_FOLDER
    from components.train.export import export
    from components.train.trainer import build_model, set_weights
    from hopline.data import load_stream
    from hopline.metrics import perplexity

    newest = checkpoint.load_newest(training / checkpoint.FOLDER)
    if newest is None or newest.state.best_valid_loss is None:
        raise InternalError(f"the workers left no finished checkpoint in {training}", remedy="run the command again")
    vocabulary_size = examples.facts["vocabulary_size"]
    model = build_model(model_config, vocabulary_size, config)
    set_weights(model, newest.best)
    export(model, folder / TRANSFORM_FOLDER, config.targets, result)
    write_attention(model, load_stream(folder, examples, "valid", least=1), config.targets, result)
    for name in checkpoint.BESIDE:
        shutil.copy2(training / name, result)
    shutil.copytree(training / EVENTS_FOLDER, result / EVENTS_FOLDER)
    return {
        "vocabulary_size": vocabulary_size,
        "best_valid_perplexity": perplexity(newest.state.best_valid_loss),
        "steps": newest.state.step,
        "ended": newest.state.finished,
        "parameters": model.count_params(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step."""
    return program.run("train", arguments(), train, argv)


if __name__ == "__main__":
    sys.exit(main())
