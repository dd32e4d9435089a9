"""Training that starts with a champion's weights."""

import dataclasses
import math
import subprocess

import numpy as np
import pytest

from components.train.state import checkpoint
from components.train.state.start import require_same_model
from hopline.artifacts import read_manifest
from hopline.config.model import ModelConfig
from hopline.registry.registry import Registry
from hopline.runtime.errors import UserError
from hopline.schema import EXAMPLES
from tests.components.train.conftest import MODEL, command, run_training
from tests.components.train.faulty import checkpoints, same_weights, wait_until, weights
from tests.registries import promote
from tests.support import synthetic_documents, write_examples

OTHER_VOCABULARY = {"train": synthetic_documents(3, 4, 250, vocabulary=30), "valid": synthetic_documents(4, 1, 150)}
# A rate so small that an epoch or two neither ruin nor much improve a trained model; checkpoints take time.
RETRAIN = {"start": "champion", "learning_rate": 0.05, "checkpoint_seconds": 60.0}


@dataclasses.dataclass(frozen=True)
class World:
    """A registry and the examples to train on."""

    registry: Registry
    examples: object

    @property
    def champion(self):
        return self.registry.champion().model_id

    def arguments(self, start_from=None):
        return [
            "--registry",
            str(self.registry.path),
            "--start-from",
            self.champion if start_from is None else start_from,
        ]

    def train(self, folder, examples=None, start_from=None, **settings):
        own = {"examples": examples or self.examples, "folder": folder, **RETRAIN, **settings}
        return run_training(**own, extra=self.arguments(start_from))


@pytest.fixture(scope="module")
def world(trained, examples, tmp_path_factory):
    """The registry whose champion is the undisturbed run's model."""
    registry = Registry(tmp_path_factory.mktemp("registry"))
    promote(registry, trained.output)
    return World(registry, examples)


@pytest.fixture(scope="module")
def retrained(world, tmp_path_factory):
    """An undisturbed run from the champion's weights."""
    run = world.train(tmp_path_factory.mktemp("retrained"))
    assert run.code == 0, run.said
    return run


def valid_losses(run):
    return [record["valid_loss"] for record in run.log if "valid_loss" in record]


def test_it_is_at_once_as_good_as_the_champion(world, retrained, trained):
    champions = min(valid_losses(trained))
    assert retrained.losses[0] < min(trained.losses[:5]) - 0.3, "the first step is not one of random weights"
    assert valid_losses(retrained)[0] == pytest.approx(champions, rel=0.02)
    assert next(record["step"] for record in retrained.log if "loss" in record) == 1
    manifest = read_manifest(retrained.output, "model")
    assert manifest.parents == {EXAMPLES: read_manifest(world.examples, EXAMPLES).id, "start": world.champion}


def test_its_first_checkpoint_is_the_champion_itself(world, trained, tmp_path):
    process = subprocess.Popen(
        command(world.examples, tmp_path, **RETRAIN, epochs=10_000, extra=world.arguments()), stderr=subprocess.DEVNULL
    )
    first = wait_until(lambda: checkpoints(tmp_path)[:1], process)[0]
    saved = checkpoint.load_newest(first.parent)
    process.kill()
    process.wait()
    assert (first.name, saved.state.step, saved.best) == ("step-000000000", 0, {})
    promoted = dict(np.load(first / "current.npz"))
    best = [array for name, array in sorted(promoted.items()) if name.startswith("model.")]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(best, weights(trained.output), strict=True))


@pytest.mark.multiprocess
def test_killed_in_the_middle_it_ends_with_the_very_weights_of_an_undisturbed_run(world, tmp_path):
    settings = {"optimizer": "adamw", "learning_rate": 0.01}
    undisturbed = world.train(tmp_path / "undisturbed", **settings)
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        command(world.examples, folder, **{**RETRAIN, **settings, "checkpoint_seconds": 0.0}, extra=world.arguments()),
        stderr=subprocess.DEVNULL,
    )
    assert wait_until(lambda: [path for path in checkpoints(folder) if not path.name.endswith("-000000000")], process)
    process.kill()
    process.wait()
    again = world.train(folder, **settings)
    assert again.code == undisturbed.code == 0, again.said
    assert "continuing after step" in again.said
    assert again.losses == undisturbed.losses
    assert same_weights(again.output, undisturbed.output)


@pytest.mark.multiprocess
def test_two_workers_start_with_the_same_weights_as_one(world, retrained, tmp_path):
    two = world.train(tmp_path, workers=2)
    assert two.code == 0, two.said
    np.testing.assert_allclose(two.losses, retrained.losses, rtol=1e-5)


def assert_made_alike(run, other):
    """Of the same things, to the same weights."""
    mine, theirs = (read_manifest(one.output, "model") for one in (run, other))
    assert (mine.parents, mine.config) == (theirs.parents, theirs.config)
    assert [path.name for path in run.work.glob("train/*")] == [path.name for path in other.work.glob("train/*")]
    assert same_weights(run.output, other.output)


def test_without_a_champion_it_is_the_plain_training(world, trained, tmp_path):
    run = run_training(world.examples, tmp_path, start="champion", extra=world.arguments(""))
    assert run.code == 0, run.said
    assert run.losses == trained.losses
    assert_made_alike(run, trained)


def test_a_champion_that_is_not_asked_for_changes_nothing(world, trained, tmp_path):
    run = run_training(world.examples, tmp_path, extra=world.arguments())
    assert run.code == 0, run.said
    assert_made_alike(run, trained)


def test_another_vocabulary_is_refused_before_training(world, tmp_path):
    (tmp_path / "examples").mkdir()
    write_examples(tmp_path / "examples", OTHER_VOCABULARY)
    run = world.train(tmp_path, examples=tmp_path / "examples")
    assert run.code == run.failure["code"] == 2
    assert "vocabulary of champion 1" in run.failure["message"]
    assert 'preprocess.vocabulary = "champion"' in run.failure["remedy"]
    assert not checkpoints(tmp_path)


def test_another_shape_is_refused_before_training(world, tmp_path):
    run = world.train(tmp_path, model={**MODEL, "width": 18, "tie": "none"})
    assert run.code == run.failure["code"] == 2
    assert "width = 16 where model.width is 18" in run.failure["message"]
    assert "tie = output where model.tie is none" in run.failure["message"]
    assert "model.width and model.tie" in run.failure["remedy"]


@pytest.mark.parametrize(
    ("key", "value", "refused"),
    [
        ("width", 32, True), ("hops", 3, True), ("memory", 9, True), ("tie", "all", True), ("factor", 4, True),
        ("bias", True, True), ("init_stddev", 0.1, False), ("heads", 2, True), ("state_map", "gate", True),
        ("query", "learned", True), ("slot_words", 2, True), ("time", "none", True),
    ],
)  # fmt: skip
def test_all_that_shapes_the_model_must_be_the_same(world, key, value, refused):
    champion = read_manifest(world.registry.fetch(1, world.registry.path, "train"), "model")
    examples = read_manifest(world.examples, EXAMPLES)
    wanted = ModelConfig(**{**MODEL, key: value})
    if not refused:
        require_same_model("champion 1", champion, examples, wanted)
        return
    with pytest.raises(UserError, match=rf"model\.{key} is {value}"):
        require_same_model("champion 1", champion, examples, wanted)


def test_a_model_that_the_registry_does_not_have_is_the_users_error(world, tmp_path):
    run = world.train(tmp_path, start_from="unheard-of")
    assert run.code == run.failure["code"] == 2
    assert "unheard-of" in run.failure["message"]


@pytest.mark.multiprocess
def test_with_every_checkpoint_damaged_it_never_goes_on_from_random_weights(world, retrained, tmp_path):
    process = subprocess.Popen(
        command(world.examples, tmp_path, **RETRAIN, extra=world.arguments()), stderr=subprocess.DEVNULL
    )
    assert wait_until(lambda: checkpoints(tmp_path), process)
    process.kill()
    process.wait()
    for folder in checkpoints(tmp_path):
        (folder / "current.npz").write_bytes(b"")
    spoiled = world.train(tmp_path, restarts=0)
    assert spoiled.code == 1
    assert "takes those weights anew" in spoiled.failure["remedy"]
    again = world.train(tmp_path)
    assert again.code == 0, again.said
    assert math.isclose(again.losses[0], retrained.losses[0])
    assert same_weights(again.output, retrained.output)
