"""The estimate of what training will cost."""

import json
import os
from pathlib import Path

import pytest

from hopline import artifacts
from hopline.config.corpus import CorpusConfig
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.corpus.files import SourceFile
from pipelines.config.config import Config
from pipelines.estimate import (
    BYTES_PER_TOKEN,
    EXPANSION,
    RUN_SPREAD,
    Estimate,
    Speed,
    benchmark,
    describe,
    fit,
    last_run,
    span,
    time_of,
    tokens_of,
    work_of,
)
from pipelines.run import config_toml

SPEED = Speed(fixed=0.01, operations=1e9, epoch_end=0.5, cores=2, source="a test", spread=2.0)
SHAPE = ModelConfig(width=10, hops=1, memory=10)
OPERATIONS = 3 * (6 * 10 * 10 + 2 * 10**2 + 2 * 10 * 100)  # of a target, for 100 words


def file(size, split="", name="text"):
    return SourceFile(split, name, Path(name), size)


def config(**train):
    return Config(model=SHAPE, train=TrainConfig(**{"sequences": 4, "targets": 8, "epochs": 3, **train}))


@pytest.mark.parametrize(
    ("corpus", "files", "expected"),
    [
        ({"valid_fraction": 0.1, "test_fraction": 0.2}, [file(1000), file(1000)], (1400, 200)),
        ({"valid_fraction": 0.0, "test_fraction": 0.0}, [file(1000)], (1000, 0)),
        ({"valid": "v"}, [file(1000, "train"), file(100, "valid"), file(10, "test")], (1000, 100)),
        ({"valid": "v"}, [file(1000, "train", "text.gz"), file(100, "valid")], (1000 * EXPANSION, 100)),
    ],
)
def test_tokens_are_told_from_the_bytes_of_each_split(corpus, files, expected):
    found = tokens_of(files, CorpusConfig(**corpus), "whitespace")
    assert [tokens * BYTES_PER_TOKEN["whitespace"] for tokens in found] == pytest.approx(expected, abs=6)


@pytest.mark.parametrize(
    ("train", "targets", "steps_per_epoch", "steps", "validations"),
    [
        ({}, 320, 10, 30, 3),
        ({}, 321, 11, 33, 3),
        ({"max_steps": 25}, 320, 10, 25, 3),
        ({"max_steps": 500}, 320, 10, 30, 3),
        ({"sampling": "shuffled"}, 320 - 1, 11, 33, 3),  # a window more, for the random offset
    ],
)
def test_steps_follow_from_the_tokens(train, targets, steps_per_epoch, steps, validations):
    work = work_of(config(**train), targets, valid_targets=7, documents=1)
    assert (work.steps_per_epoch, work.steps, work.validations) == (steps_per_epoch, steps, validations)
    assert work.step_targets == 32


def test_a_step_costs_a_fixed_time_and_its_operations():
    assert SPEED.step_seconds(SHAPE, 100, 1000) == pytest.approx(0.01 + 1000 * OPERATIONS / 1e9)


def test_the_fit_finds_the_speed_that_made_the_steps():
    steps = [[targets, SPEED.step_seconds(SHAPE, 100, targets)] for targets in (10, 500, 9000)]
    model = {"width": 10, "hops": 1, "memory": 10}
    place = {"date": "today", "machine": "this", "cores": 2, "epoch_end": 0.5}
    found = fit({**place, "model": model, "vocabulary": 100, "steps": steps})
    assert (found.fixed, found.operations, found.epoch_end) == pytest.approx((0.01, 1e9, 0.5))


def test_the_benchmark_that_comes_with_hopline_fits_its_own_steps():
    speed = benchmark()
    for targets, seconds in [(128, 0.0210), (640, 0.0535), (3_200, 0.256), (6_400, 0.506)]:
        assert speed.step_seconds(ModelConfig(), 10_001, targets) == pytest.approx(seconds, rel=0.1)


def test_time_is_that_of_all_steps_and_of_the_end_of_each_epoch():
    work = work_of(config(), targets=320, valid_targets=1000)
    steps = 30 * (0.01 + 32 * OPERATIONS / 1e9)
    ends = 3 * (1000 * OPERATIONS / 3 / 1e9 + 0.5)
    assert time_of(config(), work, 100, SPEED, cores=2).seconds == pytest.approx(steps + ends)


def test_more_cores_may_be_faster_or_no_help():
    work = work_of(config(), targets=320, valid_targets=0)
    two, eight = (time_of(config(), work, 100, SPEED, cores) for cores in (2, 8))
    assert eight.seconds == pytest.approx(two.seconds / 4)
    assert (two.low, two.high) == pytest.approx((two.seconds / 2, two.seconds * 2))
    assert (eight.low, eight.high) == pytest.approx((eight.seconds / 2, two.seconds * 2))


def leave_run(runs, name, seconds, steps=100):
    """A run that took so many seconds a step, and a minute for each validation."""
    model = runs / name / "model"
    model.mkdir(parents=True)
    (runs / name / "config.toml").write_text(config_toml(config()))
    clock, lines = 1e9, []
    for step in range(1, steps + 1):
        clock += 900 if step == 15 else seconds  # killed, and found again in the morning
        lines.append({"step": step, "loss": 1.0, "time": clock})
        if step % 10 == 0:
            clock += 60
            lines.append({"step": step, "valid_loss": 1.0, "time": clock})
    (model / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    artifacts.seal(model, "model", parents={}, config={}, facts={"vocabulary_size": 100})


def test_the_newest_run_here_corrects_the_benchmark(tmp_path):
    leave_run(tmp_path, "1", seconds=5.0)
    leave_run(tmp_path, "2", seconds=3 * SPEED.step_seconds(SHAPE, 100, 32))
    leave_run(tmp_path, "3", seconds=5.0, steps=3)  # too few to tell
    leave_run(tmp_path, "4", seconds=5.0)
    (tmp_path / "4" / "config.toml").write_text("of another version")
    found = last_run(tmp_path, SPEED)
    assert found.step_seconds(SHAPE, 100, 32) == pytest.approx(3 * SPEED.step_seconds(SHAPE, 100, 32), rel=1e-3)
    assert (found.spread, found.cores) == (RUN_SPREAD, os.cpu_count())
    assert "2 (" in found.source


def test_without_a_run_there_is_nothing_to_correct_by(tmp_path):
    assert last_run(tmp_path / "none", SPEED) is None


def test_the_estimate_says_what_it_is_for(tmp_path):
    (tmp_path / "text").write_bytes(b"x" * round(39_000 / 0.8))
    asked = Config(corpus=CorpusConfig(train=str(tmp_path / "text")), model=SHAPE, train=config(workers=2).train)
    said = "\n".join(describe(asked))
    assert "about 10,000 targets in 310 steps" in said
    assert "about 30,000 targets in 940 steps" in said
    assert "2 workers, no GPU" in said
    assert "benchmark of" in said
    leave_run(tmp_path / "runs", "20260101", seconds=0.5)
    assert "the last run here, 20260101" in "\n".join(describe(asked, tmp_path / "runs"))


def test_for_gpus_no_time_is_made_up(tmp_path):
    (tmp_path / "text").write_text("some words\n")
    said = "\n".join(describe(Config(corpus=CorpusConfig(train=str(tmp_path / "text"))), accelerators=4))
    assert "4 GPUs" in said
    assert "minutes" not in said
    assert "not known" in said


def test_a_corpus_that_is_not_there_is_left_to_the_step_that_needs_it(tmp_path):
    assert describe(Config(corpus=CorpusConfig(train=str(tmp_path / "gone")))) == []


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (Estimate(30, 15, 61), "about 0.5 minutes of training (0.25 to 1)"),
        (Estimate(5000, 2500, 10_000), "about 83 minutes of training (42 to 170)"),
        (Estimate(40 * 3600, 20 * 3600, 80 * 3600), "about 40 hours of training (20 to 80)"),
    ],
)
def test_times_are_said_with_their_limits(time, text):
    assert span(time) == text


def test_a_corpus_of_next_to_nothing_has_a_step_all_the_same():
    work = work_of(Config(), targets=0, valid_targets=0)
    assert (work.steps_per_epoch, work.validations) == (1, Config().train.epochs)
