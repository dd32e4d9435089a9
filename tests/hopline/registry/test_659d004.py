"""A registry that an older hopline made: `tests/fixtures/registry-659d004`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hopline.registry.card import render
from hopline.registry.registry import Registry
from hopline.registry.upkeep import DAMAGED, examine
from hopline.store import trees
from tests.registries import make_model, promote

FIXTURE = Path(__file__).parents[2] / "fixtures" / "registry-659d004"
EXPECTED = json.loads((FIXTURE / "expected.json").read_text())
TOLERANCE = 2e-5  # nats; what was recorded has six decimals


@pytest.fixture
def old(tmp_path):
    """A copy of the registry."""
    shutil.copytree(FIXTURE / "registry", tmp_path / "registry")
    return Registry(tmp_path / "registry")


def test_it_is_read_and_verified(old):
    champion = old.verify()
    assert (champion.version, champion.split, champion.card) == (1, "test", {})
    assert [version.state for version in old.lineage()] == ["champion"]
    assert not [finding for finding in examine(old) if finding.state == DAMAGED]


def test_its_card_says_what_is_known(old):
    text = render(old.champion(), old.card(old.champion()))
    assert "| Perplexity on test | 28.17 |" in text
    assert "| model.tie | `output` |" in text


def test_the_next_promotion_goes_on_from_it_and_a_rollback_returns_to_it(old, tmp_path):
    make_model(tmp_path / "new", "new")
    assert promote(old, tmp_path / "new").previous == 1
    assert old.rollback().version == 1
    assert old.verify().version == 1


def test_its_version_is_fetched_from_an_object_store(bucket, tmp_path):
    uri = f"{bucket('gs')}/registry"
    trees.send_tree(FIXTURE / "registry" / "versions" / "1", f"{uri}/versions/1", "test")
    registry = Registry(uri)
    registry.backend.write("champion.json", json.loads((FIXTURE / "registry" / "champion.json").read_text()), over=None)
    folder = registry.fetch(registry.verify().version, tmp_path / "fetched", "test")
    assert (folder / "saved_model" / "saved_model.pb").is_file()


@pytest.mark.slow
def test_its_saved_model_scores_as_that_commit_did(old):
    import tensorflow as tf

    module = tf.saved_model.load(f"{old.location(1)}/saved_model")
    scored = module.signatures["score"](text=tf.constant([EXPECTED["text"]]))
    assert [word.decode() for word in scored["words"].numpy()] == EXPECTED["words"]
    assert scored["ids"].numpy().tolist() == EXPECTED["ids"]
    np.testing.assert_allclose(scored["nll"].numpy(), EXPECTED["nll"], atol=TOLERANCE)


@pytest.mark.slow
def test_its_keras_model_scores_as_that_commit_did(old):
    import keras
    import tensorflow as tf

    import hopline.model.network  # noqa: F401  registers MemoryNetwork, so that load_model finds it
    from hopline.schema import PAD

    model = keras.saving.load_model(f"{old.location(1)}/model.keras", compile=False)
    ids = EXPECTED["ids"]
    logits_BTV = model(tf.constant([[PAD] * model.memory + ids[:-1]]))
    # The probabilities of that commit were over the whole vocabulary, padding included.
    nll_T = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=ids, logits=logits_BTV[0])
    np.testing.assert_allclose(nll_T.numpy(), EXPECTED["nll"], atol=TOLERANCE)
