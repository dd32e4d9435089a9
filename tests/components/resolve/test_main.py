"""Resolve: what the corpus is, who is champion, and whether there is anything to do."""

import json
import shutil

import pytest

from components.resolve.__main__ import decide, main
from hopline import artifacts
from hopline.config.corpus import CorpusConfig
from hopline.config.model import ModelConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.resolve import ResolveConfig
from hopline.config.train import TrainConfig
from hopline.registry.registry import Champion, Registry
from hopline.runtime.errors import ExitCode
from hopline.runtime.process import FAILURE_FILE, read_failure
from hopline.store.objects import Store

SKIP = ResolveConfig(skip_unchanged=True)


def champion(fingerprint):
    return Champion(3, "model-id", fingerprint, "evaluation-id", 90.0, "test", "2026-01-01T00:00:00+00:00", 3, None)


@pytest.mark.parametrize(
    ("standing", "config", "action"),
    [
        (None, SKIP, "train"),
        (champion("other"), SKIP, "train"),
        (champion("this"), ResolveConfig(), "train"),
        (champion("this"), SKIP, "skip"),
    ],
)
def test_only_an_unchanged_corpus_is_skipped_and_only_on_request(standing, config, action):
    decided, reason = decide("this", standing, config)
    assert decided == action
    assert reason.endswith(".")


class World:
    def __init__(self, folder):
        self.folder, self.text = folder, folder / "text.txt"
        self.text.write_text("some words\n")

    def resolve(
        self, train=None, registry=None, vocabulary="own", start="random", lowercase=False, pretrained="", **options
    ):
        """The exit code; the resolution is in `self.found`, the failure in `self.failure`."""
        arguments = {
            "corpus-config": CorpusConfig(train=train or str(self.text)).to_json(),
            "resolve-config": ResolveConfig(**options).to_json(),
            "preprocess-config": PreprocessConfig(vocabulary=vocabulary, lowercase=lowercase).to_json(),
            "train-config": TrainConfig(start=start).to_json(),
            "model-config": ModelConfig(width=2, pretrained=pretrained).to_json(),
            "registry": registry or str(self.folder / "registry"),
            "output": str(self.folder / "resolution"),
            "work-dir": str(self.folder / "work"),
        }
        code = main([part for name, value in arguments.items() for part in (f"--{name}", value)])
        self.failure = read_failure(self.folder / "work" / FAILURE_FILE)
        return code

    @property
    def found(self):
        return json.loads((self.folder / "resolution" / "resolution.json").read_text())

    def promote(self, registry=None, **more):
        model = self.folder / "model"
        model.mkdir()
        facts = {"fingerprint": self.found["fingerprint"], **more}
        manifest = artifacts.seal(model, "model", parents={}, config={}, facts=facts)
        Registry(registry or self.folder / "registry").promote(
            model, evaluation="evaluation-id", perplexity=90.0, split="valid", compared_with=""
        )
        return manifest.id


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_without_a_champion_there_is_everything_to_do(world):
    assert world.resolve() == ExitCode.DONE
    assert (world.found["champion"], world.found["action"]) == ("", "train")
    assert (world.found["files"], world.found["bytes"]) == (1, len("some words\n"))
    artifacts.verify(world.folder / "resolution", "resolution")


def test_the_champion_of_this_very_corpus_ends_the_run_until_the_text_changes(world):
    world.resolve()
    model_id = world.promote()
    assert world.resolve(skip_unchanged=True) == ExitCode.DONE
    assert (world.found["champion"], world.found["action"]) == (model_id, "skip")
    world.text.write_text("other words\n")
    world.resolve(skip_unchanged=True)
    assert (world.found["champion"], world.found["action"]) == (model_id, "train")


def test_what_is_taken_over_is_the_champions_id_only_where_the_configuration_says_so(world):
    world.resolve(vocabulary="champion", start="champion")
    assert (world.found["vocabulary_from"], world.found["start_from"]) == ("", "")
    model_id = world.promote()
    for settings, expected in [
        ({}, ("", "")),
        ({"vocabulary": "champion"}, (model_id, "")),
        ({"start": "champion"}, ("", model_id)),
        ({"vocabulary": "champion", "start": "champion"}, (model_id, model_id)),
    ]:
        assert world.resolve(**settings) == ExitCode.DONE
        assert (world.found["vocabulary_from"], world.found["start_from"]) == expected


def test_a_corpus_is_compared_with_the_champions_only_where_that_is_another(world):
    world.resolve()
    assert world.found["drift_from"] == ""
    model_id = world.promote()
    world.resolve()
    assert world.found["drift_from"] == ""
    world.text.write_text("other words\n")
    world.resolve()
    assert world.found["drift_from"] == model_id


@pytest.mark.parametrize("was", [False, True])
def test_a_challenger_that_could_not_be_compared_with_the_champion_is_refused_before_it_is_trained(world, was):
    world.resolve()
    world.promote(lowercase=was)
    assert world.resolve(lowercase=was) == 0
    assert world.resolve(lowercase=not was) == ExitCode.USER
    assert "preprocess.lowercase" in world.failure.message


def test_a_missing_corpus_is_the_users_error_and_leaves_no_output(world):
    assert world.resolve(train=str(world.folder / "gone")) == ExitCode.USER
    assert "gone" in world.failure.message
    assert not (world.folder / "resolution").exists()


def test_corpus_and_registry_may_lie_in_a_store(world, bucket):
    place = bucket("gs")
    Store(f"{place}/texts").write("a.txt", b"some words\n")
    assert world.resolve(train=f"{place}/texts", registry=f"{place}/registry") == ExitCode.DONE
    assert (world.found["files"], world.found["bytes"]) == (1, len("some words\n"))
    assert not list(world.folder.rglob("a.txt")), "nothing is downloaded to find out what there is"
    standing = world.promote(f"{place}/registry")
    again = {"train": f"{place}/texts", "registry": f"{place}/registry", "skip_unchanged": True}
    assert world.resolve(**again) == ExitCode.DONE
    assert (world.found["champion"], world.found["action"]) == (standing, "skip")


@pytest.mark.parametrize("registry", ["gs:/bucket/registry", "http://host/registry"])
def test_a_registry_that_is_neither_path_nor_store_is_the_users_error(world, registry):
    assert world.resolve(registry=registry) == ExitCode.USER
    assert "neither a path nor the URI" in world.failure.message


def test_vectors_are_read_before_there_is_anything_to_wait_for(world, tmp_path):
    path = tmp_path / "vectors.vec"
    path.write_text("2 2\nsome 0.5 1.0\nwords 2.0 0.25\n")
    assert world.resolve(pretrained=str(path)) == ExitCode.DONE
    first = world.found["pretrained"]
    assert first
    shutil.rmtree(world.folder / "resolution")
    path.write_text("2 2\nsome 0.5 1.0\nwords 2.0 0.75\n")
    assert world.resolve(pretrained=str(path)) == ExitCode.DONE
    assert world.found["pretrained"] != first
    shutil.rmtree(world.folder / "resolution")
    path.write_text("2 2\nsome 0.5 1.0\nwords 2.0\n")
    assert world.resolve(pretrained=str(path)) == ExitCode.USER
    assert f"{path}:3" in world.failure.message
    assert not (world.folder / "resolution").exists()


def test_without_vectors_there_is_no_digest_of_them(world):
    assert world.resolve() == ExitCode.DONE
    assert world.found["pretrained"] == ""
