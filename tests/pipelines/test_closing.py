"""What `hopline run` says at its end."""

import io

import pytest
from rich.console import Console

from hopline.artifacts import seal
from hopline.registry.registry import Registry
from hopline.runtime.errors import HoplineError, InternalError, UserError
from pipelines.closing import print_failure, print_result, sample_rows
from pipelines.output import Output
from pipelines.run import LOG, Run

BASELINES = {"unigram": 677.4, "kneser_ney_2": 141.2, "kneser_ney_3": 119.4, "kneser_ney_4": 120.0}
FACTS = {"split": "test", "challenger_perplexity": 111.5, "reasons": ["better by 9 %", "first [bold]champion[/bold]"]}


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=40, highlight=False)


def written(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def evaluated(output: Output, **facts: object) -> Run:
    place = output.run_place("a-run-with-a-name-that-is-longer-than-the-console-is-wide")
    return Run(place, {"action": "train"}, {**FACTS, **facts})


def test_a_promotion_says_what_was_reached_and_where_it_lies(tmp_path, console):
    model = tmp_path / "model"
    model.mkdir()
    seal(model, "model", parents={}, config={}, facts={"fingerprint": "f"})
    registry = Registry(tmp_path / "registry")
    registry.promote(model, evaluation="e", perplexity=111.5, split="test", compared_with="")
    run = evaluated(Output(tmp_path), decision="promote", champion_perplexity=123.25, baselines=BASELINES)
    print_result(run, Output(tmp_path), console)
    assert written(console) == [
        "challenger:  perplexity 111.5 on test; word frequencies alone 677, Kneser-Ney 3-gram 119",
        "champion:    perplexity 123.2 on test",
        "decision:    promoted",
        "             better by 9 %",
        "             first [bold]champion[/bold]",
        f"model:       {run.place}/model",
        f"curve:       {run.place}/model/curve.png",
        f"attention:   {run.place}/model/attention.png",
        f"data:        {run.place}/examples/report.html",
        f"report:      {run.place}/evaluation/report.html",
        f"registry:    {tmp_path}/registry/versions/1",
    ]


def test_a_rejection_is_said_plainly(tmp_path, console):
    output = Output(tmp_path)
    print_result(evaluated(output, decision="reject"), output, console)
    assert "decision:    rejected: the champion stays as it was" in written(console)
    assert written(console)[-1] == "registry:    no champion yet"


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "perplexity 111.5 on test"),
        ({"baselines": {}}, "perplexity 111.5 on test"),
        ({"baselines": {"unigram": 40.2}}, "perplexity 111.5 on test; word frequencies alone 40"),
        ({"challenger_perplexity": "inf", "baselines": {"kneser_ney_2": "inf"}}, "perplexity inf on test"),
    ],
)
def test_numbers_that_are_absent_or_not_finite_do_no_harm(tmp_path, console, facts, line):
    output = Output(tmp_path)
    print_result(evaluated(output, decision="reject", **facts), output, console)
    assert written(console)[0] == f"challenger:  {line}"


def test_a_skipped_run_says_why(tmp_path, console):
    print_result(Run("run", {"reason": "The corpus is the same."}), Output(tmp_path), console)
    assert written(console)[0] == "skipped:   nothing was trained: The corpus is the same."


def test_paths_below_the_current_folder_are_short(tmp_path, console, monkeypatch):
    monkeypatch.chdir(tmp_path)
    print_failure(UserError("x is 3", remedy="set x"), tmp_path / LOG, console)
    assert written(console) == ["error:   x is 3", "remedy:  set x", "log:     log.txt"]


@pytest.mark.parametrize(("error", "lines"), [(UserError("no"), 0), (InternalError("no"), 30)])
def test_only_an_internal_error_shows_the_end_of_the_log(tmp_path, console, error: HoplineError, lines: int):
    (tmp_path / LOG).write_text("".join(f"\x1b[96mline {number}\x1b[0m\n" for number in range(50)) + "\n")
    print_failure(error, tmp_path / LOG, console)
    assert sum(line.startswith("line") for line in written(console)) == max(0, lines - 1)
    assert not any("\x1b" in line for line in written(console))


def test_the_samples_of_an_evaluation_are_shown_line_by_line():
    samples = {
        "continuations": [["the stock", " market fell\nagain"], ["a", " b"]],
        "likeliest": [["the", [["the", 0.25], ["a", 0.1]]], ["stock", [["stock", 0.5]]]],
    }
    rows = sample_rows(samples)
    assert rows[:2] == [("writes", "the stock >> market fell again"), ("", "a >> b")]
    assert rows[2][0] == "expects"
    assert rows[2][1].split() == ["the", "the", "25%,", "a", "10%"]
    assert rows[3][1].split() == ["stock", "stock", "50%"]
    assert sample_rows({}) == []
