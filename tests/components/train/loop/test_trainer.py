"""The training loop in one process: what is kept, when it stops, and that an interruption changes no bit."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorflow as tf

from components.train.loop.trainer import Trainer
from components.train.state import checkpoint
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.streams import TokenStream
from hopline.runtime.errors import DivergedError, PreemptedError

V = 30
MODEL = ModelConfig(width=8, hops=2, memory=6, tie="output", init_stddev=0.3)
OPTIONS = ModelConfig(
    width=8, hops=2, memory=6, tie="all", bias=True, heads=2, norm=True, state_map="mlp", query="words", query_words=2,
    projections=True, slot_words=2,
)  # fmt: skip
random = np.random.Generator(np.random.Philox(11))
FREQUENT_FIRST = 1 / np.arange(1, V)
TRAIN, VALID = (
    TokenStream(random.choice(np.arange(1, V), size, p=FREQUENT_FIRST / FREQUENT_FIRST.sum()).astype(np.int32), "split")
    for size in (400, 150)
)
RECIPE = {"sequences": 4, "targets": 10, "epochs": 3, "learning_rate": 0.3, "checkpoint_seconds": 1e6}
ADAMW = {
    "optimizer": "adamw", "learning_rate": 0.02, "adam_beta_2": 0.99, "weight_decay": 0.01, "warmup_steps": 5,
    "sampling": "shuffled", "drop_words": 0.1, "drop_embeddings": 0.1, "drop_memory": 0.2, "drop_read": 0.1,
    "drop_state": 0.2,
}  # fmt: skip
COSINE = {
    **ADAMW, "model": OPTIONS, "schedule": "cosine", "drop_shared": True, "drop_warmup_epochs": 1.5, "average": "ema",
    "ema_decay": 0.9,
}  # fmt: skip
SINUSOIDAL = dataclasses.replace(MODEL, time="sinusoidal")
TAIL = {**ADAMW, "model": SINUSOIDAL, "schedule": "constant", "average": "tail"}
GROUPED = {**TAIL, "update_every": ("tables=3", "hops=1 epochs"), "freeze_epochs": 1}


def train(folder, stop_at=None, model=MODEL, **settings):
    """Trains in `folder`, and is told to stop before step `stop_at`; what the last checkpoint holds, and the log."""
    folder.mkdir(exist_ok=True)
    asked = iter(range(1, 1000))
    trainer = Trainer(
        strategy=tf.distribute.MirroredStrategy(["/cpu:0"]),
        chief=True,
        scratch=folder,
        train=TRAIN,
        valid=VALID,
        vocabulary_size=V,
        model_config=model,
        config=TrainConfig(**{**RECIPE, **settings}),
    )
    trainer.run(stopping=lambda: next(asked) == stop_at)
    log = [json.loads(line) for line in (folder / checkpoint.LOG_FILE).read_text().splitlines()]
    return checkpoint.load_newest(folder / checkpoint.FOLDER), log


def numbers(log):
    """The log without times."""
    return [
        {key: value for key, value in record.items() if key not in ("time", "targets_per_second")} for record in log
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "stop_at"), [(COSINE, 14), (GROUPED, 25)], ids=["cosine and ema", "in the tail"])
def test_told_to_stop_and_started_again_it_ends_with_the_very_numbers_of_an_undisturbed_run(
    tmp_path, settings, stop_at
):
    whole, whole_log = train(tmp_path / "whole", **settings)
    with pytest.raises(PreemptedError):
        train(tmp_path / "parts", stop_at, **settings)
    parts, parts_log = train(tmp_path / "parts", **settings)
    assert whole.state.finished
    assert parts.state == whole.state
    assert numbers(parts_log) == numbers(whole_log)
    for kind in ("current", "best"):
        mine, theirs = getattr(parts, kind), getattr(whole, kind)
        assert mine.keys() == theirs.keys()
        assert all(mine[key].tobytes() == theirs[key].tobytes() for key in mine)


def test_the_better_of_weights_and_average_is_kept_and_the_log_has_both(tmp_path):
    rough = {"optimizer": "adamw", "learning_rate": 0.1, "schedule": "constant"}  # so the average is the better one
    done, log = train(tmp_path, **rough, average="tail", epochs=1)
    (found,) = [record for record in log if "valid_loss" in record]
    assert found["average_valid_loss"] < found["valid_loss"]
    assert done.state.best_valid_loss == found["average_valid_loss"]
    assert done.state.best_is_average
    kept = 3  # of each weight, the average last
    averages = [done.current[key] for key in sorted(done.current) if key.startswith("slot.")][kept - 1 :: kept]
    for average, best in zip(averages, [done.best[key] for key in sorted(done.best)], strict=True):
        np.testing.assert_array_equal(average, best)
    assert any((done.best[key] != done.current[key]).any() for key in done.best), (
        "training goes on with its own weights"
    )


def test_an_average_that_is_worse_is_not_kept(tmp_path):
    done, log = train(tmp_path, average="ema", ema_decay=0.999, epochs=2)  # it lags behind
    found = [record for record in log if "valid_loss" in record]
    assert all(record["average_valid_loss"] > record["valid_loss"] for record in found)
    assert done.state.best_valid_loss == min(record["valid_loss"] for record in found)
    assert not done.state.best_is_average


def test_dropout_that_warms_up_begins_with_none_and_rises(tmp_path):
    _, without = train(tmp_path / "without", epochs=1)
    _, rising = train(tmp_path / "rising", epochs=1, drop_state=0.9, drop_warmup_epochs=0.5)
    losses = [[line["loss"] for line in log if "loss" in line] for log in (without, rising)]
    assert losses[0][0] == losses[1][0]
    assert abs(losses[0][-1] - losses[1][-1]) > 0.01


def test_the_learning_rate_of_the_log_is_the_one_that_was_used(tmp_path):
    _, log = train(tmp_path, schedule="cosine", warmup_steps=4, min_learning_rate=0.03)
    rates = [record["learning_rate"] for record in log if "loss" in record]
    assert rates[:4] == pytest.approx([0.075, 0.15, 0.225, 0.3], rel=0.05)
    assert rates[-1] == pytest.approx(0.03, abs=0.003)
    assert len(rates) == 30


@pytest.mark.parametrize("average", ["none", "ema"])
def test_a_validation_loss_that_is_not_finite_is_divergence_also_after_the_last_step(tmp_path, average):
    with pytest.raises(DivergedError, match="validation loss"):
        train(tmp_path, learning_rate=1e30, clip_norm=0.0, max_steps=1, average=average)


def test_a_finite_loss_whose_perplexity_is_not_goes_on(tmp_path):
    done, _ = train(tmp_path, learning_rate=40.0, clip_norm=0.0, max_steps=3, epochs=1)
    assert math.isfinite(done.state.best_valid_loss)
    assert done.state.best_valid_loss > 800


def test_minutes_choose_the_end_once_within_the_limit_of_steps_and_the_schedule_falls_to_it(tmp_path):
    settings = {"schedule": "cosine", "min_learning_rate": 1e-3, "minutes": 60, "max_steps": 80, "epochs": 1}
    with pytest.raises(PreemptedError):
        train(tmp_path / "run", 50, **settings)
    assert checkpoint.load_newest(tmp_path / "run" / checkpoint.FOLDER).state.end == 80
    ended, log = train(tmp_path / "run", **settings)
    assert ended.state.step == 80
    assert ended.state.finished
    rates = [record["learning_rate"] for record in log if "loss" in record]
    assert rates[0] == rates[30] == pytest.approx(0.3), "it falls once the end is known"
    assert rates[-1] == pytest.approx(1e-3, rel=0.2)
    assert "valid_loss" in log[-1]
