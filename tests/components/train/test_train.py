"""The train program as a whole."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf

from components.train.launch.group import GRACE_SECONDS
from hopline.artifacts import read_manifest, verify
from hopline.model.scoring import score_stream
from hopline.model.streams import load_stream
from hopline.runtime.errors import ExitCode
from hopline.schema import EXAMPLES
from tests.components.train.conftest import MODEL, ROOT, command, run_training, tiny_settings
from tests.components.train.faulty import weights

GOLDEN = ROOT / "tests" / "golden" / "loss_curve.json"
GOLDEN_TINY = ROOT / "tests" / "golden" / "tiny_loss_curve.json"
EVERYTHING = {
    "optimizer": "adamw", "learning_rate": 0.03, "adam_beta_2": 0.99, "weight_decay": 0.01, "warmup_steps": 5,
    "schedule": "cosine", "sampling": "shuffled", "drop_words": 0.1, "drop_embeddings": 0.1, "drop_memory": 0.1,
    "drop_read": 0.1, "drop_state": 0.1, "drop_shared": True, "average": "ema", "ema_decay": 0.9,
}  # fmt: skip
# Between machines the same sums are taken in another order; between runs on one machine nothing differs.
GOLDEN_TOLERANCE = 1e-4


def test_the_loss_curve_is_the_golden_one(trained):
    """Renew it with: python -m tests.components.train.renew_golden (and give the reason in the changelog)."""
    np.testing.assert_allclose(trained.losses, json.loads(GOLDEN.read_text()), rtol=GOLDEN_TOLERANCE)


@pytest.mark.slow
def test_the_loss_curve_of_the_tiny_config_is_the_golden_one(examples, tmp_path):
    """On the synthetic corpus: the documentation topics differ between versions of Python."""
    run = run_training(examples, tmp_path, **tiny_settings())
    assert run.code == 0, run.said
    np.testing.assert_allclose(run.losses, json.loads(GOLDEN_TINY.read_text()), rtol=GOLDEN_TOLERANCE)


def test_it_learns(trained):
    assert np.mean(trained.losses[-5:]) < 0.95 * trained.losses[0]


def test_the_manifest_tells_what_the_model_is(trained, examples):
    manifest = verify(trained.output, "model")
    assert manifest.parents == {EXAMPLES: read_manifest(examples, EXAMPLES).id}
    assert manifest.config["model"]["width"] == MODEL["width"]
    assert manifest.facts["data"]["splits"].keys() == read_manifest(examples, EXAMPLES).counts.keys()
    assert manifest.facts["steps"] == len(trained.losses)
    valid = [record["valid_loss"] for record in trained.log if "valid_loss" in record]
    assert manifest.facts["best_valid_perplexity"] == pytest.approx(np.exp(min(valid)))
    assert manifest.facts["parameters"] == sum(array.size for array in weights(trained.output))


def test_the_best_weights_are_the_ones_exported(trained, examples, tmp_path):
    stream = load_stream(examples, read_manifest(examples, EXAMPLES), "valid", least=1, scratch=tmp_path)
    nll = score_stream(keras.saving.load_model(trained.output / "model.keras"), stream, targets=16)
    best = read_manifest(trained.output, "model").facts["best_valid_perplexity"]
    assert np.exp(nll.mean()) == pytest.approx(best, rel=1e-6)


def test_the_model_directory_holds_what_people_look_at(trained):
    files = set(verify(trained.output, "model").files)
    assert {"curve.png", "attention.png", "attention.json", "log.jsonl"} < files
    numbers = json.loads((trained.output / "attention.json").read_text())
    means = np.array([hop["mean_probability"] for hop in numbers["hops"]])
    assert means.shape == (MODEL["hops"], MODEL["memory"])
    np.testing.assert_allclose(means.sum(axis=1), 1, atol=1e-5)


def test_vectors_that_have_changed_since_they_were_checked_are_refused(examples, tmp_path):
    vectors = tmp_path / "words.vec"
    vectors.write_text("words 0.5 1.0\n")
    model = {**MODEL, "pretrained": str(vectors)}
    run = run_training(examples, tmp_path, model=model, extra=["--pretrained", "0" * 64])
    assert run.code == ExitCode.USER
    assert f"{vectors} has changed" in run.failure["message"]
    assert "start the run again" in run.failure["remedy"]
    assert not run.output.exists()


def test_the_event_file_holds_the_log_once(trained):
    (path,) = (trained.output / "events").iterdir()
    logged = [(event.step, event.wall_time) for event in tf.compat.v1.train.summary_iterator(str(path)) if event.step]
    assert logged == [(record["step"], record["time"]) for record in trained.log]


def test_the_saved_model_scores_raw_text_in_a_fresh_process_without_the_examples(trained, examples, tmp_path):
    stream = load_stream(examples, read_manifest(examples, EXAMPLES), "valid", least=1, scratch=tmp_path)
    expected = score_stream(keras.saving.load_model(trained.output / "model.keras"), stream, targets=16)
    (shard,) = (examples / "text").glob("valid-*")
    texts = [json.loads(line)["text"] for line in shard.read_text().splitlines()]
    shutil.copytree(trained.output / "saved_model", tmp_path / "moved")
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    program = (
        "import json, sys, numpy, tensorflow as tf\n"
        "score = tf.saved_model.load(sys.argv[1]).signatures['score']\n"
        "result = score(text=tf.constant(json.load(open(sys.argv[2]))))\n"
        "numpy.savez(sys.argv[3], **{name: value.numpy() for name, value in result.items() if name != 'words'})\n"
        "assert not [name for name in sys.modules if name.startswith(('hopline', 'tensorflow_transform'))]\n"
    )
    hidden = examples.with_name("hidden")
    examples.rename(hidden)  # nothing of the preprocessing may be read
    try:
        arguments = [tmp_path / "moved", tmp_path / "texts.json", tmp_path / "scores.npz"]
        subprocess.run([sys.executable, "-c", program, *map(str, arguments)], cwd=tmp_path, check=True)
    finally:
        hidden.rename(examples)
    scores = np.load(tmp_path / "scores.npz")
    np.testing.assert_allclose(scores["nll"], expected, atol=1e-5, rtol=1e-5)
    assert np.diff(scores["row_splits"]).tolist() == [len(text.split()) + text.count("\n") for text in texts]
    assert scores["ids"].tolist() == stream.ids[stream.ids != 0].tolist()


@pytest.mark.multiprocess
def test_two_workers_see_the_same_batches_and_give_the_same_losses(trained, examples, tmp_path):
    two = run_training(examples, tmp_path, workers=2)
    assert two.code == 0, two.said
    assert len(two.losses) == len(trained.losses)
    np.testing.assert_allclose(two.losses, trained.losses, rtol=1e-5)
    for mine, theirs in zip(weights(two.output), weights(trained.output), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


@pytest.mark.multiprocess
def test_two_workers_agree_with_one_also_in_averages_and_dropout(examples, tmp_path):
    """Validation of the average puts other weights into the model of every worker, and takes them out again."""
    few = {**EVERYTHING, "max_steps": 15, "checkpoint_seconds": 60.0}
    one, two = (run_training(examples, tmp_path / f"{workers}", **few, workers=workers) for workers in (1, 2))
    assert one.code == two.code == 0, one.said + two.said
    for key in ("loss", "valid_loss", "average_valid_loss"):
        mine, theirs = ([record[key] for record in run.log if key in record] for run in (one, two))
        assert len(mine) == (15 if key == "loss" else 1)
        np.testing.assert_allclose(theirs, mine, rtol=1e-5)
    for mine, theirs in zip(weights(two.output), weights(one.output), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    first, second = (read_manifest(run.output, "model").facts["averaged_weights"] for run in (one, two))
    assert first is second


def start_and_wait_for_a_checkpoint(examples, folder, **train):
    """A training process that has written at least one checkpoint and is not done."""
    process = subprocess.Popen(command(examples, folder, **train), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(folder.glob("work/train/*/scratch/training/checkpoints/step-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.multiprocess
def test_a_run_killed_in_the_middle_ends_with_the_very_weights_of_an_undisturbed_one(trained, examples, tmp_path):
    process = start_and_wait_for_a_checkpoint(examples, tmp_path)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive, "workers leave with their launcher"
    assert not (tmp_path / "model").exists()
    again = run_training(examples, tmp_path)
    assert again.code == 0, again.said
    assert "continuing after step" in again.said
    assert again.losses == trained.losses
    test_the_event_file_holds_the_log_once(again)
    for mine, theirs in zip(weights(again.output), weights(trained.output), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.multiprocess
@pytest.mark.parametrize("workers", [1, 2])
def test_told_to_stop_it_saves_at_once_and_leaves_with_143(examples, tmp_path, workers):
    process = start_and_wait_for_a_checkpoint(examples, tmp_path, workers=workers, epochs=10_000)
    children = psutil.Process(process.pid).children(recursive=True)
    told = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    assert time.monotonic() - told < GRACE_SECONDS, "workers saved and left, and did not have to be killed"
    assert not [child for child in children if child.is_running()]
    assert not (tmp_path / "model").exists()


def test_divergence_stops_with_code_3_and_names_the_step(examples, tmp_path):
    run = run_training(examples, tmp_path, learning_rate=1e20, clip_norm=0.0)
    assert run.code == run.failure["code"] == 3
    assert "step 2" in run.failure["message"] or "step 3" in run.failure["message"]
    assert not run.output.exists()


def test_divergence_in_the_last_step_is_seen_by_the_validation(examples, tmp_path):
    run = run_training(examples, tmp_path, learning_rate=1e30, clip_norm=0.0, max_steps=1)
    assert run.code == run.failure["code"] == 3
    assert "validation loss" in run.failure["message"]
    assert run.said.count("starting  0/1 workers") == 1, "it is not tried again"
    assert not run.output.exists()


def test_a_finite_loss_goes_on_to_the_gate_even_if_its_perplexity_is_too_large_for_a_number(examples, tmp_path):
    run = run_training(examples, tmp_path, learning_rate=40.0, clip_norm=0.0, max_steps=3)
    assert run.code == 0, run.said
    assert read_manifest(run.output, "model").facts["best_valid_perplexity"] == "inf"
    assert min(record["valid_loss"] for record in run.log if "valid_loss" in record) > 710


def test_a_split_too_short_for_one_sequence_is_the_users_fault(examples, tmp_path):
    run = run_training(examples, tmp_path, targets=100_000)
    assert run.code == run.failure["code"] == 2
    assert "one sequence needs 100,000" in run.failure["message"]
    assert not run.output.exists()


def test_damaged_examples_are_refused_before_training(examples, tmp_path):
    copy = tmp_path / "examples"
    shutil.copytree(examples, copy)
    (shard,) = (copy / "shards").glob("train-*")
    shard.write_bytes(shard.read_bytes()[:-1])
    run = run_training(copy, tmp_path)
    assert run.code == 2
    assert shard.name in run.failure["message"]
