import json
import shutil
from pathlib import Path

import pytest

from benchmarks.ablation import PARTS, WHOLE, Training
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig

CONFIG = Path(__file__).parents[2] / "configs" / "ptb.toml"


@pytest.fixture
def settings(tmp_path):
    """Of a part: what its training's command has for the model and the recipe."""
    shutil.copy(CONFIG, tmp_path / "config.toml")

    def of(part, epochs=5, seed=1):
        given = dict(
            argument.split("=", 1) for argument in Training(part, epochs, seed).command(tmp_path, tmp_path, 2)[3:]
        )
        model, train = json.loads(given["--model-config"]), json.loads(given["--train-config"])
        return ModelConfig.from_json(json.dumps(model)), TrainConfig.from_json(json.dumps(train))

    return of


@pytest.mark.parametrize("part", [part for part in PARTS if part != WHOLE])
def test_a_part_taken_out_of_the_recommended_recipe_is_another_recipe(settings, part):
    assert settings(part) != settings(WHOLE)


def test_length_and_seed_are_those_of_the_row(settings):
    _, train = settings(WHOLE, epochs=7, seed=3)
    assert (train.epochs, train.seed) == (7, 3)


def test_every_training_has_a_folder_of_its_own(tmp_path):
    folders = {Training(part, epochs, seed).folder(tmp_path) for part in PARTS for epochs in (1, 2) for seed in (1, 2)}
    assert len(folders) == 4 * len(PARTS)
