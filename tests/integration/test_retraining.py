"""Retraining as a schedule does it: the same command again, after the corpus has grown."""

import json

import pytest

from hopline.artifacts import read_manifest, verify
from tests.support import synthetic_documents

pytestmark = [pytest.mark.slow, pytest.mark.multiprocess]

TAKE_OVER = ["--set", "preprocess.vocabulary=champion", "--set", "train.start=champion"]


def valid_losses(run):
    records = [json.loads(line) for line in (run / "model" / "log.jsonl").read_text().splitlines()]
    return [record["valid_loss"] for record in records if "valid_loss" in record]


def test_retraining_goes_on_from_the_champion_with_its_words(project):
    first = project.run(*TAKE_OVER, "--set", "train.epochs=6")
    assert first.code == 0, first.err
    champion = project.champion["model_id"]
    assert read_manifest(project.runs[0] / "model", "model").config["train"]["start"] == "random"

    with (project.folder / "train.txt").open("a") as text:
        text.write("\n" + "\n".join(synthetic_documents(9, 2, 250)) + "\nunheard words unheard words\n")
    again = project.run(*TAKE_OVER, "--set", "train.epochs=1", "--set", "train.learning_rate=0.1")
    assert again.code == 0, again.err
    old, new = project.runs
    examples, model = verify(new / "examples", "examples"), verify(new / "model", "model")
    assert examples.parents == {"vocabulary": champion}
    assert model.parents == {"examples": examples.id, "start": champion}
    words = (old / "model" / "vocabulary.txt").read_bytes()
    assert b"unheard" not in words
    for place in (new / "examples", new / "model", old / "examples"):
        assert (place / "vocabulary.txt").read_bytes() == words
    profile = (old / "examples" / "profile.json").read_bytes()
    assert (old / "model" / "profile.json").read_bytes() == profile != (new / "model" / "profile.json").read_bytes()
    pages = [(run / "examples" / "report.html").read_text() for run in (old, new)]
    assert ["Drift from the corpus of champion 1" in page for page in pages] == [False, True]
    best, first_epoch = min(valid_losses(old)), valid_losses(old)[0]
    assert abs(valid_losses(new)[0] - best) < (first_epoch - best) / 5

    other = project.run(*TAKE_OVER, "--set", "model.width=18")
    assert other.code == 2
    assert "model.width is 18" in other.err
    assert "remedy" in other.err
    assert project.champion["version"] in (1, 2)
