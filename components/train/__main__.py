"""Examples to a model: starts the workers, then exports the best weights.

python -m components.train --examples DIR --model-config JSON --train-config JSON --output DIR --work-dir DIR

With `--launcher kubernetes` the workers meet on a volume that is mounted here too (`job.claim`; --work-dir is on it),
or in an object store (`job.store`): they fetch the examples from there, and this step the checkpoint they end with.
"""

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.train.launch.launchers import add_arguments, launch, place_examples
from components.train.state import checkpoint
from components.train.state.pretrained import matching_vectors, save_vectors
from components.train.state.start import promoted_model, save_start
from components.train.state.stored import StoredTraining
from hopline import artifacts
from hopline.config.job import JobConfig
from hopline.config.model import ModelConfig
from hopline.config.section import require
from hopline.config.train import TrainConfig
from hopline.model.vectors import KEY
from hopline.registry.card import data_facts
from hopline.runtime import program
from hopline.runtime.errors import InternalError
from hopline.schema import EXAMPLES, MODEL, PROFILE_FILE, TRANSFORM_FOLDER, VOCABULARY_FILE
from hopline.store import folders
from hopline.store.sources import Source, locate

_TRAINING = "training"
_WORKER = "components.train.worker"  # which the launchers run by name


def arguments() -> argparse.ArgumentParser:
    """The step's command line."""
    parser = program.parser("train", "Trains a memory network on examples and exports the best weights.")
    add_arguments(parser)
    parser.add_argument("--examples", type=Path, required=True, help="folder of examples (preprocess)")
    parser.add_argument("--examples-uri", default="", help="where else the same examples are, if in an object store")
    parser.add_argument("--registry", default="", help="of the promoted models: a path, or a gs:// or s3:// URI")
    parser.add_argument("--start-from", default="", help='the model for start = "champion"; "" for none yet')
    parser.add_argument(
        "--pretrained", default="", help='what resolve found in model.pretrained; "" if it was not asked'
    )
    parser.add_argument("--output", type=Path, required=True, help="folder to make, with the model")
    return parser


def train(options: argparse.Namespace) -> None:
    """Gives `--output` the model that examples and configuration determine."""
    program.terminate_as_interrupt()
    model_config = ModelConfig.from_json(options.model_config)
    config, job = TrainConfig.from_json(options.train_config), JobConfig.from_json(options.job)
    if options.launcher == "kubernetes":
        job.require_place()
    if config.start == "champion" and not options.start_from:
        print("train: there is no champion yet: training starts with random weights", file=sys.stderr)
        config = dataclasses.replace(config, start="random")
    start_from = options.start_from if config.start == "champion" else ""
    examples = artifacts.verify(options.examples, EXAMPLES)
    if start_from:  # a champion has learned what vectors would have taught it
        model_config = dataclasses.replace(model_config, pretrained="")
    vectors = _located_vectors(model_config, options)
    key = artifacts.content_key(
        examples=examples.id,
        model={**model_config.network(), "pretrained": vectors.digest if vectors else ""},
        train=config.determining(),
        start_from=start_from,
        code=artifacts.code_digest("components.train.__main__", _WORKER, libraries=artifacts.TENSORFLOW),
    )

    def build(scratch: Path, result: Path) -> None:
        training = scratch / _TRAINING
        in_store = options.launcher == "kubernetes" and job.store
        stored = StoredTraining(f"{job.store}/{_TRAINING}/{key}", training) if in_store else None
        begun = stored.exists() if stored else checkpoint.exists(training / checkpoint.FOLDER)
        if start_from and not begun:
            model = promoted_model(options.registry, start_from, examples, model_config, scratch / "champion")
            first = save_start(model, config, training)
            if stored:
                stored.send(first)
        given = None
        if vectors:
            given = matching_vectors(vectors, options.examples / VOCABULARY_FILE, model_config.rows)
            print(f"train: {given.summary(model_config.pretrained)}", file=sys.stderr)
            if not begun:
                first = save_vectors(given, model_config, examples.facts["vocabulary_size"], config, training)
                if stored:
                    stored.send(first)
        if stored:
            _train_in_store(options, model_config, config, job, stored)
        else:
            launch(options, model_config, config, options.examples, training)
        facts = _export(training, options.examples, examples, model_config, config, result)
        if vectors and given:
            facts["pretrained"] = {"digest": vectors.digest, "words": len(given.ids), "share": given.share}
        sections = {"model": model_config.to_dict(), "train": config.determining()}
        folders.write_json(result / "config.json", {**sections, **facts})
        facts |= {name: examples.facts[name] for name in ("fingerprint", "tokeniser", "lowercase")}
        facts["data"] = data_facts(options.examples, examples)
        parents = {EXAMPLES: examples.id} | ({"start": start_from} if start_from else {})
        artifacts.seal(result, MODEL, parents=parents, config=sections, facts=facts)

    artifacts.produce(options.output, options.work_dir, "train", MODEL, key, build)


def _located_vectors(model_config: ModelConfig, options: argparse.Namespace) -> Source | None:
    """The file of `model.pretrained`, if there is one; it must be the one that was checked."""
    if not model_config.pretrained:
        return None
    vectors = locate(KEY, model_config.pretrained)
    require(
        options.pretrained in ("", vectors.digest),
        f"model.pretrained = {model_config.pretrained} has changed since this run began",
        "start the run again, and leave the file alone meanwhile",
    )
    return vectors


def _train_in_store(
    options: argparse.Namespace, model_config: ModelConfig, config: TrainConfig, job: JobConfig, stored: StoredTraining
) -> None:
    """Trains in the store and makes the local folder what workers of this machine would have made it."""
    from components.train.report.log import TrainingLog

    examples = place_examples(options.examples, options.examples_uri, job.store)
    launch(options, model_config, config, examples, stored.uri)
    if step := stored.fetch_newest():
        TrainingLog(stored.folder / checkpoint.LOG_FILE, step).close()  # makes the event file


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
    from components.train.report.attention import write_attention
    from components.train.report.events import EVENTS_FOLDER
    from components.train.report.export import export
    from components.train.state.weights import build_model, set_weights
    from hopline.model.scoring import perplexity
    from hopline.model.streams import load_stream

    newest = checkpoint.load_newest(training / checkpoint.FOLDER)
    if newest is None or newest.state.best_valid_loss is None:
        raise InternalError(f"the workers left no finished checkpoint in {training}", remedy="run the command again")
    vocabulary_size = examples.facts["vocabulary_size"]
    model = build_model(model_config, vocabulary_size, config)
    set_weights(model, newest.best)
    export(model, folder / TRANSFORM_FOLDER, config.targets, result)
    valid = load_stream(folder, examples, "valid", least=1, scratch=training)
    write_attention(model, valid, config.targets, result)
    for name in checkpoint.BESIDE:
        shutil.copy2(training / name, result)
    shutil.copy2(folder / VOCABULARY_FILE, result)
    if (folder / PROFILE_FILE).exists():  # an older hopline made none
        shutil.copy2(folder / PROFILE_FILE, result)
    shutil.copytree(training / EVENTS_FOLDER, result / EVENTS_FOLDER)
    return {
        "vocabulary_size": vocabulary_size,
        "best_valid_perplexity": artifacts.json_value(perplexity(newest.state.best_valid_loss)),
        "averaged_weights": newest.state.best_is_average,
        "steps": newest.state.step,
        "ended": newest.state.finished,
        "parameters": model.count_params(),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step."""
    return program.run("train", arguments(), train, argv)


if __name__ == "__main__":
    sys.exit(main())
