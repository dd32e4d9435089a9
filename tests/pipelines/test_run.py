"""`hopline run` with fake programs: what it leaves behind, and how it ends."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from pipelines.config.config import Config
from pipelines.run import config_toml

pytestmark = pytest.mark.slow
RUN_FILES = {"config.toml", "log.txt", "examples", "model", "evaluation"}


def wait_until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def until_training_hangs(hopline):
    process = hopline.start_run(train="hang")
    wait_until((hopline.output / "cache" / "hanging").exists)
    return process


def test_a_run_leaves_its_artifacts_log_and_configuration_in_a_plain_folder(hopline):
    done = hopline.run()
    assert done.returncode == 0, done.stderr
    (run,) = hopline.runs()
    assert {path.name for path in run.iterdir()} == RUN_FILES
    assert Config.load(run / "config.toml").train.epochs == 1
    assert {path.name for path in hopline.output.iterdir()} == {"cache", "lock", "runs"}
    assert list(hopline.temporary.iterdir()) == []
    assert "promoted" in done.stdout
    assert "111.5" in done.stdout
    assert -1 < done.stdout.find("targets in") < done.stdout.find("resolve:"), "what it costs is said before"
    assert "KFP" not in done.stdout + done.stderr


def test_an_unchanged_run_finds_its_results_in_the_cache(hopline):
    first = hopline.run()
    assert first.returncode == 0, first.stderr
    again = hopline.run()
    assert "train: found in cache" in again.stdout
    assert "evaluate: done" in again.stdout
    first, second = hopline.runs()
    assert first.name < second.name


def test_a_rejected_model_is_a_result_and_kept_in_the_run(hopline):
    done = hopline.run(evaluate="reject")
    assert done.returncode == 0
    assert "rejected" in done.stdout
    assert "promote: skipped" in done.stdout
    (run,) = hopline.runs()
    assert {path.name for path in run.iterdir()} == RUN_FILES


def test_nothing_to_train_says_why_and_succeeds(hopline):
    done = hopline.run(resolve="skip")
    assert done.returncode == 0
    assert "told to skip" in done.stdout
    assert "train: skipped" in done.stdout


@pytest.mark.parametrize(
    ("behaviour", "code", "message"),
    [
        ({"preprocess": "fail"}, 2, "set corpus.train"),
        ({"train": "diverge"}, 3, "loss is nan at step 7"),
        ({"evaluate": "crash"}, 1, "ZeroDivisionError"),
        ({"train": "die"}, 1, "SIGKILL"),
    ],
)
def test_a_failing_step_gives_the_run_its_code_and_message(hopline, behaviour, code, message):
    done = hopline.run(**behaviour)
    assert done.returncode == code
    assert message in done.stderr
    (run,) = hopline.runs()
    assert f"log:     {run.relative_to(hopline.folder) / 'log.txt'}" in done.stderr
    assert (code == 1) == ("Traceback" in done.stderr)


def test_a_stale_blessing_is_evaluated_again_twice_at_most(hopline):
    assert hopline.run(promote="stale 2").returncode == 0
    done = hopline.run(promote="stale 9")
    assert done.returncode == 4
    assert "the champion has changed since" in done.stderr
    assert (hopline.output / "cache" / "count-promote").stat().st_size == 3 + 3


def test_a_second_run_on_the_same_output_is_refused_at_once(hopline):
    first = until_training_hangs(hopline)
    try:
        refused = hopline.run()
        assert refused.returncode == 2
        assert str(first.pid) in refused.stderr
        assert hopline.call("clean", "--output", hopline.output).returncode == 2
        assert first.poll() is None
    finally:
        first.terminate()
        first.communicate(timeout=60)


@pytest.mark.parametrize(
    ("send", "number", "code"),
    [(os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGINT, 130), (os.kill, signal.SIGTERM, 143)],
)
def test_a_stopped_run_leaves_no_process_and_the_same_command_continues(hopline, send, number, code):
    process = until_training_hangs(hopline)
    descendants = psutil.Process(process.pid).children(recursive=True)
    send(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "run the same command" in errors
    assert "Traceback" not in errors
    assert not hopline.living(descendants)
    assert list(hopline.temporary.iterdir()) == []
    assert hopline.run().returncode == 0


def test_the_children_of_a_killed_run_leave_and_the_same_command_works(hopline):
    process = until_training_hangs(hopline)
    descendants = psutil.Process(process.pid).children(recursive=True)
    assert len(descendants) >= 3
    process.kill()
    process.communicate(timeout=60)
    done = hopline.run()
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not hopline.step_processes(), seconds=5)
    (run,) = hopline.runs()  # what the killed run had begun is gone
    assert {path.name for path in run.iterdir()} == RUN_FILES


def test_folders_named_like_our_packages_shadow_nothing(hopline):
    for name in ("components", "pipelines", "hopline", "kfp"):
        (hopline.folder / name).mkdir()
        (hopline.folder / name / "__init__.py").write_text("raise ImportError('the wrong package')\n")
    assert hopline.run().returncode == 0


def test_a_path_may_hold_spaces_quotes_and_the_word_python3(hopline):
    hopline.output = hopline.folder / "my 'python3' files"
    done = hopline.run("--set", "corpus.train=/usr/lib/python3/texts")
    assert done.returncode == 0, done.stderr
    (run,) = hopline.runs()
    assert {path.name for path in run.iterdir()} == RUN_FILES
    assert not (hopline.folder / "my 'python3' files").joinpath("bin").exists()


def test_relative_patterns_are_taken_from_the_current_folder(hopline):
    hopline.run("--set", "corpus.train=texts/*.txt", resolve="skip")
    (run,) = hopline.runs()
    assert Config.load(run / "config.toml").corpus.train == str(hopline.folder / "texts/*.txt")


def test_the_number_of_workers_can_be_given_by_itself(hopline):
    hopline.run("--workers", 2, resolve="skip")
    (run,) = hopline.runs()
    assert Config.load(run / "config.toml").train.workers == 2


def test_an_output_that_cannot_be_written_is_refused(hopline):
    (hopline.folder / "file").write_text("")
    done = hopline.call("run", "--config", "config.toml", "--output", "file/out")
    assert done.returncode == 2
    assert "file/out cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_clean_removes_the_cache_and_nothing_else(hopline):
    hopline.run()
    assert hopline.call("clean", "--output", hopline.output).returncode == 0
    assert {path.name for path in hopline.output.iterdir()} == {"lock", "runs"}
    assert hopline.call("clean", "--output", hopline.output).returncode == 0


def test_clean_refuses_a_folder_that_is_not_of_hopline(hopline):
    (hopline.folder / "other" / "cache").mkdir(parents=True)
    assert hopline.call("clean", "--output", "other").returncode == 2
    assert (hopline.folder / "other" / "cache").exists()


def test_the_configuration_of_a_run_is_read_back_as_it_was(tmp_path: Path):
    odd = {"corpus": {"train": 'a "b" \\ \x7f ü 𝄞\t'}, "preprocess": {"runner_options": ["--a=1", "--b"]}}
    config = Config.from_mapping({**odd, "train": {"min_learning_rate": 1e-05}})
    (tmp_path / "config.toml").write_text(config_toml(config), encoding="utf-8")
    assert Config.load(tmp_path / "config.toml") == config
