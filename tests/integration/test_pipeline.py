"""`hopline run` from raw text to champion, and every way to spoil it."""

import bz2
import json

import pytest

from hopline.artifacts import read_manifest, verify

pytestmark = [pytest.mark.slow, pytest.mark.multiprocess]


def test_a_better_model_is_promoted_and_a_worse_one_rejected(project):
    first = project.run("--set", "train.max_steps=2")
    assert first.code == 0, first.err
    (run,) = project.runs
    kinds = ["examples", "model", "evaluation"]
    examples, model, evaluation = (verify(run / kind, kind) for kind in kinds)
    assert model.parents == {"examples": examples.id}
    assert evaluation.parents == {"examples": examples.id, "model": model.id}
    assert project.champion["model_id"] == model.id

    better = project.run("--workers", "2")
    assert better.code == 0, better.err
    evaluation = read_manifest(project.runs[-1] / "evaluation", "evaluation")
    assert evaluation.parents["champion"] == model.id
    assert evaluation.facts["challenger_perplexity"] < evaluation.facts["champion_perplexity"]
    assert project.champion["version"] == 2
    assert project.champion["previous"] == 1

    worse = project.run("--set", "train.max_steps=1")
    assert worse.code == 0, worse.err
    assert "rejected" in worse.out
    assert project.champion["version"] == 2


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda p: (p.folder / "train.txt").unlink(), "train.txt", id="missing path"),
        pytest.param(lambda p: (p.folder / "train.txt").write_bytes(b""), "train", id="empty corpus"),
        pytest.param(lambda p: (p.folder / "train.txt").write_bytes(b"a\n\xff\n"), "UTF-8", id="invalid UTF-8"),
        pytest.param(lambda p: (p.folder / "train.txt").write_bytes(b"a b\x00c\n"), "binary", id="binary file"),
        pytest.param(lambda p: (p.folder / "valid.txt").write_text("w01 w02\n"), "one sequence", id="short split"),
        pytest.param(
            lambda p: (p.folder / "config.toml").write_text("[train]\nepoch = 1\n"), "epochs", id="unknown key"
        ),
        pytest.param(lambda p: (p.folder / "output").write_text("a file"), "--output", id="unwritable output"),
    ],
)
def test_bad_input_is_the_users_fault_and_leaves_nothing_behind(project, spoil, said):
    spoil(project)
    ended = project.run()
    assert ended.code == 2, ended.out + ended.err
    assert said in ended.err
    assert "remedy" in ended.err
    assert "Traceback" not in ended.err
    assert not list(project.folder.glob("output/registry/champion.json"))
    assert not list(project.folder.glob("output/runs/*/model"))


@pytest.mark.parametrize(
    "setting",
    ["corpus.train=nothing/*.txt", "preprocess.max_words=0", "train.workers=3"],
)
def test_bad_settings_are_the_users_fault(project, setting):
    ended = project.run("--set", setting)
    assert ended.code == 2, ended.out + ended.err
    assert "remedy" in ended.err


def test_invalid_utf_8_can_be_replaced_and_compressed_text_is_read(project):
    (project.folder / "train.txt.bz2").write_bytes(
        bz2.compress((project.folder / "train.txt").read_bytes() + b"\nw\xff1\n")
    )
    ended = project.run("--set", "corpus.train=train.txt.bz2", "--set", "corpus.invalid_utf8=replace")
    assert ended.code == 0, ended.err
    vocabulary = (project.runs[0] / "examples" / "vocabulary.txt").read_text(encoding="utf-8")
    assert "w\N{REPLACEMENT CHARACTER}1" in vocabulary.split("\n")


def test_killed_again_and_again_it_still_ends_with_a_champion(project):
    moments = [
        "cache/preprocess/*/scratch",
        "cache/train/*/scratch/training/checkpoints/step-*",
        "cache/evaluate/*/scratch",
    ]
    for moment in moments:
        project.kill_at(moment)
        assert project.champion is None
    ended = project.run()
    assert ended.code == 0, ended.err
    (run,) = project.runs  # what killed runs began is gone
    assert project.champion["model_id"] == verify(run / "model", "model").id
    steps = [json.loads(line)["step"] for line in (run / "model" / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)

    same = project.run()
    assert same.code == 0, same.err
    assert "train: found in cache" in same.out
    assert "is the champion already" in same.out
    assert project.champion["version"] == 1
