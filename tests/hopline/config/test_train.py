"""The rules of the section [train]."""

import pytest

from hopline.config.train import TrainConfig
from hopline.runtime.errors import UserError


@pytest.mark.parametrize("settings", [
    {"schedule": "linear"}, {"average": "swa"}, {"warmup_steps": -1}, {"ema_decay": 1.0}, {"adam_beta_1": 1.0},
    {"adam_beta_2": -0.1}, {"drop_words": 1.0}, {"drop_embeddings": -0.1}, {"drop_memory": 1.0}, {"drop_read": 2.0},
    {"drop_state": 1.0}, {"update_every": ("tables",)}, {"update_every": ("tables=0",)},
    {"update_every": ("words=2",)}, {"update_every": ("tables=2", "tables=1 epochs")}, {"freeze_epochs": -1},
])  # fmt: skip
def test_a_value_out_of_its_range_is_named_with_its_remedy(settings):
    with pytest.raises(UserError) as caught:
        TrainConfig(**settings)
    (key,) = settings
    assert f"train.{key}" in caught.value.message
    assert f"train.{key}" in caught.value.remedy


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_a_learning_rate_below_the_least_is_refused(schedule):
    settings = {"optimizer": "adamw", "schedule": schedule, "learning_rate": 5e-4}
    with pytest.raises(UserError) as caught:
        TrainConfig(**settings)
    assert "train.learning_rate is 0.0005" in caught.value.message
    assert "train.min_learning_rate = 0.001" in caught.value.message
    assert "train.min_learning_rate" in caught.value.remedy
    TrainConfig(**settings, min_learning_rate=5e-4)


def test_a_learning_rate_that_stays_has_no_least():
    TrainConfig(schedule="constant", learning_rate=5e-4)


def test_the_last_third_of_a_run_whose_end_nobody_knows_cannot_be_averaged():
    with pytest.raises(UserError, match="tail") as caught:
        TrainConfig(average="tail")
    assert "ema" in caught.value.remedy
    TrainConfig(average="tail", schedule="cosine")


@pytest.mark.parametrize("seed", [1 << 32, 1 << 64, -1])
def test_a_seed_that_keras_does_not_take_is_refused(seed):
    with pytest.raises(UserError, match="2\\^32"):
        TrainConfig(seed=seed)
    TrainConfig(seed=(1 << 32) - 1)


def test_the_key_dropout_of_earlier_versions_is_refused_with_those_that_stand_for_it():
    with pytest.raises(UserError) as caught:
        TrainConfig.from_mapping({"dropout": 0.2})
    assert "train.dropout is not a known configuration key" in caught.value.message
    for key in ("drop_words", "drop_embeddings", "drop_memory", "drop_read", "drop_state"):
        assert key in caught.value.remedy


def test_groups_of_weights_are_updated_each_so_many_steps_or_epochs():
    config = TrainConfig(update_every=("tables=4", "hops = 2 epochs", "bias=1 epoch"))
    assert config.update_schedule() == {"tables": (4, "steps"), "hops": (2, "epochs"), "bias": (1, "epochs")}
    assert TrainConfig().update_schedule() == {}
