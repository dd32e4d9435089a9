"""The runs of this machine, as `hopline runs --output` and `hopline resize` have them."""

import json
import threading
import time

import pytest

from hopline import artifacts
from hopline.runtime.errors import DivergedError, ExitCode
from hopline.runtime.process import FAILURE_FILE, write_failure
from hopline.store import resizing
from hopline.store.folders import locked
from pipelines.cli import main

IDS = {name: f"20261125-09000{number}-000000" for number, name in enumerate(("good", "failed", "empty", "now"))}


@pytest.fixture
def output(tmp_path):
    """A run that was promoted, one that failed, one that had nothing to train, and one that is not over."""
    runs = tmp_path / "out" / "runs"
    for name, identity in IDS.items():
        folder = runs / (f".{identity}.0123abcd.partial" if name == "now" else identity)
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text(f"the log of {name}\n")
        (folder / "config.toml").write_text("[train]\nsequences = 32\n")
    evaluation = runs / IDS["good"] / "evaluation"
    evaluation.mkdir()
    facts = {"decision": "promote", "challenger_perplexity": 123.45}
    artifacts.seal(evaluation, "evaluation", parents={}, config={}, facts=facts)
    write_failure(runs / IDS["failed"] / FAILURE_FILE, "train", DivergedError("the loss is nan"))
    return tmp_path / "out"


@pytest.fixture
def call(output, capsys):
    def run(*arguments):
        code = main([*arguments, "--output", str(output)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_runs_of_this_machine_are_listed_newest_first_with_what_came_of_them(output, call):
    def states():
        listed = json.loads(call("runs", "list", "-o", "json")[1])
        return [(run["state"], run["note"], run["perplexity"]) for run in listed]

    ended = [("SUCCEEDED", "nothing was trained", None), ("FAILED", "the loss is nan", None)]
    ended += [("SUCCEEDED", "promoted", 123.45)]
    assert states() == [("KILLED", "", None), *ended]
    with locked(output / "lock"):
        assert states() == [("RUNNING", "", None), *ended]
    assert [line.split()[0] for line in call("runs", "list")[1].splitlines()] == list(IDS.values())[::-1]
    assert len(call("runs", "list", "--count", "2")[1].splitlines()) == 2
    assert str(output) in call("runs", "list", "-o", "wide")[1]


def test_an_output_without_runs_has_none(tmp_path, capsys):
    assert main(["runs", "list", "--output", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "none").exists()


def test_a_log_of_this_machine_is_shown_and_followed_to_the_run_s_end(output, call):
    assert call("runs", "logs", IDS["good"]) == (0, "the log of good\n", "")
    folder = output / "runs" / f".{IDS['now']}.0123abcd.partial"

    def work():
        with locked(output / "lock"):
            begun.set()
            time.sleep(0.3)
            with (folder / "log.txt").open("a") as log:
                log.write("more\n")
            folder.rename(output / "runs" / IDS["now"])

    begun = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    code, out, _ = call("runs", "logs", IDS["now"], "--follow")
    thread.join()
    assert (code, out) == (0, "the log of now\nmore\n")


def test_a_log_of_this_machine_has_no_steps(output, call):
    code, _, err = call("runs", "logs", IDS["good"], "--step", "train")
    assert code == ExitCode.USER
    assert "--step" in err


def test_a_run_that_is_not_there_is_named(call):
    code, _, err = call("runs", "logs", "20260101-000000-000000")
    assert code == ExitCode.USER
    assert "20260101-000000-000000" in err


def test_a_training_of_this_machine_is_asked_for_another_number_of_workers(output, call):
    training = output / "cache" / "train" / "0123" / "scratch" / "training"
    with locked(output / "lock"):
        assert "not in its step train" in call("resize", IDS["now"], "--workers", "4")[2]
        with resizing.accepting(training):
            code, _, err = call("resize", IDS["now"], "--workers", "5")
            assert code == ExitCode.USER
            assert "train.sequences" in err
            assert resizing.wanted(training, 1) == 1
            assert call("resize", IDS["now"], "--workers", "4")[0] == 0
            assert resizing.wanted(training, 1) == 4
            assert "does not run" in call("resize", IDS["good"], "--workers", "4")[2]
