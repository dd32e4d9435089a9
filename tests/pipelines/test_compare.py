"""`hopline compare`: runs side by side."""

import json
import re

import pytest

from hopline.artifacts import seal
from pipelines.cli import main

LOG = [
    {"step": 1, "epoch": 0.5, "loss": 5.0, "targets_per_second": 10.0, "time": 1000.0},
    {"step": 2, "epoch": 1.0, "loss": 4.0, "targets_per_second": 3000.0, "time": 1002.0},
    {"step": 3, "epoch": 1.5, "loss": 3.5, "targets_per_second": 3200.0, "time": 1004.0},
    {"step": 3, "epoch": 1.5, "valid_loss": 4.0, "learning_rate": 0.64, "time": 1005.0},
]


SLICES = [{"group": "frequency", "name": "rare", "challenger_perplexity": 512.5}]


def make_run(folder, *, rate=0.64, perplexity=100.0, decision="promote", log=LOG, **evaluation):
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f"[model]\nhops = 3\n\n[train]\nlearning_rate = {rate}\n")
    (folder / "model").mkdir()
    (folder / "model" / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in log))
    seal(folder / "model", "model", parents={}, config={}, facts={"parameters": 720, "steps": 3})
    (folder / "evaluation").mkdir()
    content = {"challenger": {"perplexity": perplexity}, "slices": SLICES}
    (folder / "evaluation" / "evaluation.json").write_text(json.dumps({**content, **evaluation}))
    facts = {"decision": decision, "split": "test"}
    seal(folder / "evaluation", "evaluation", parents={}, config={}, facts=facts)


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "out" / "runs"
    make_run(folder / "20261125-1", baselines={"unigram": 677.25})
    make_run(folder / "20261126-2", rate=0.32, perplexity="inf", decision="reject")
    return folder


@pytest.fixture
def compare(tmp_path, capsys):
    def run(*arguments):
        code = main(["compare", *map(str, arguments), "--output", str(tmp_path / "out")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_runs_stand_side_by_side_by_what_differs_what_was_reached_and_how_fast(runs, compare):
    code, text, _ = compare("20261125-1", "20261126-2", "-o", "json")
    tables = json.loads(text)["tables"]
    a, b = "20261125-1", "20261126-2"
    assert code == 0
    assert tables["configuration, where it differs"] == {"train.learning_rate": {a: 0.64, b: 0.32}}
    numbers = tables["numbers"]
    assert numbers["result"] == {a: "promoted", b: "rejected"}
    assert numbers["perplexity"] == {a: 100.0, b: "inf"}
    assert numbers["baseline: word frequencies"] == {a: 677.25, b: None}
    assert numbers["best validation perplexity"][a] == pytest.approx(54.598, abs=1e-3)
    assert tables["comparable perplexity by kind of word"]["frequency: rare"] == {a: 512.5, b: 512.5}
    assert tables["speed"]["targets/s, median"] == {a: 3000, b: 3000}
    assert tables["speed"]["seconds of training"] == {a: 5.0, b: 5.0}


def test_the_terminal_shows_the_same_as_text(runs, compare):
    code, text, _ = compare("20261125-1", "20261126-2")
    assert code == 0
    assert re.search(r"train\.learning_rate +0\.64 +0\.32", text)
    assert re.search(r"perplexity +100\.00 +inf", text)
    assert "model.hops" not in text


def test_a_run_is_named_by_folder_id_or_the_beginning_of_its_id(runs, compare):
    for name in (runs / "20261125-1", "20261125-1", "20261125"):
        assert compare(name, "20261126-2")[0] == 0


def test_the_page_has_both_curves_in_one_picture_and_needs_nothing_from_elsewhere(runs, compare, tmp_path):
    page = tmp_path / "page.html"
    code, text, _ = compare("20261125-1", "20261126-2", "--html", page)
    html = page.read_text()
    assert code == 0
    assert str(page) in text
    assert html.count("<svg") == 1
    assert html.count("<polyline") == 2  # each run's training
    assert html.count("<circle") == 2  # and its one validation
    assert not re.search(r"<script|https?://|<link|@import|url\(", html)


def test_a_run_that_failed_or_trained_nothing_is_shown_with_what_it_left(runs, compare):
    failed = runs / "20261127-3"
    failed.mkdir()
    (failed / "config.toml").write_text("[train]\nlearning_rate = 0.1\n")
    (failed / "failure.json").write_text("{}")
    code, text, _ = compare("20261125-1", failed.name)
    assert code == 0
    assert re.search(r"result +promoted +failed", text)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["20261125", "nowhere"], '"nowhere" is no run'),
        (["202611", "20261125"], '"202611" is the beginning of several runs'),
        (["20261125", "20261125-1"], "one run to compare"),
    ],
)
def test_what_is_no_two_runs_is_a_users_error(runs, compare, names, said):
    code, _, errors = compare(*names)
    assert code == 2
    assert said in errors


def test_a_damaged_run_and_a_page_that_cannot_be_written_are_users_errors(runs, compare, tmp_path):
    assert compare("20261125", "20261126", "--html", tmp_path / "nowhere" / "page.html")[0] == 2
    (runs / "20261125-1" / "model" / "log.jsonl").write_text('{"step": 1, "lo')
    code, _, errors = compare("20261125", "20261126")
    assert code == 2
    assert "20261125-1 is damaged" in errors


def test_runs_in_an_object_store_are_not_read(compare, capsys):
    assert main(["compare", "a", "b", "--output", "gs://bucket/out"]) == 2
    assert "copy their folders here" in capsys.readouterr().err
