import json

import pytest

from components.promote.__main__ import main
from hopline import artifacts
from hopline.registry.registry import Registry
from hopline.runtime.errors import ExitCode
from hopline.runtime.process import read_failure
from hopline.store import folders


def make_model(folder, weights):
    folder.mkdir()
    (folder / "model.keras").write_text(weights)
    return artifacts.seal(folder, "model", parents={}, config={}, facts={"fingerprint": "corpus"})


def make_evaluation(folder, model_id, *, decision="promote", written=None, champion="", content=None):
    folder.mkdir()
    if content is not None:
        folders.write_json(folder / "evaluation.json", content)
    folders.write_json(folder / "decision.json", {"decision": written or decision, "reasons": []})
    parents = {"model": model_id} | ({"champion": champion} if champion else {})
    facts = {"decision": decision, "split": "test", "challenger_perplexity": 90.0, "reasons": ["gain: much"]}
    return artifacts.seal(folder, "evaluation", parents=parents, config={}, facts=facts)


@pytest.fixture
def world(tmp_path):
    class World:
        registry = Registry(tmp_path / "registry")
        model = make_model(tmp_path / "model", "weights")
        output = tmp_path / "promotion"

        def evaluate(self, model_id=None, **values):
            return make_evaluation(tmp_path / "evaluation", model_id or self.model.id, **values)

        def promote(self, *more):
            folders = {name: str(tmp_path / name) for name in ("model", "evaluation", "registry", "work-dir")}
            argv = [part for name, folder in folders.items() for part in (f"--{name}", folder)]
            return main([*argv, "--output", str(self.output), *more])

        def failure(self):
            return read_failure(tmp_path / "work-dir" / "failure.json").message

    return World()


def test_a_blessed_model_becomes_champion(world):
    evaluation = world.evaluate()
    assert world.promote() == ExitCode.DONE
    champion = world.registry.verify()
    assert (champion.model_id, champion.evaluation) == (world.model.id, evaluation.id)
    assert (champion.perplexity, champion.split) == (90.0, "test")


def test_the_output_records_the_promotion(world):
    evaluation = world.evaluate()
    world.promote()
    manifest = artifacts.verify(world.output, "promotion")
    assert manifest.parents == {"model": world.model.id, "evaluation": evaluation.id}
    record = json.loads((world.output / "promotion.json").read_text())
    assert record == {"version": 1, "model_id": world.model.id, "previous": None}


def test_the_version_has_a_card_of_model_evaluation_and_configuration(world, tmp_path):
    world.evaluate(content={"split": "test", "tokens": 10, "baselines": {"kneser-ney": {"perplexity": 119.5}}})
    assert world.promote("--promote-config", '{"license": "CC0-1.0", "limits": ["Not for poems."]}') == ExitCode.DONE
    text = (tmp_path / "registry" / "versions" / "1" / "card.md").read_text()
    for said in ("Licence: CC0-1.0", "- Not for poems.", "- gain: much", "| Baseline: kneser-ney | 119.50 |"):
        assert said in text
    card = world.registry.champion().card
    assert (card["license"], card["baselines"]) == ("CC0-1.0", {"kneser-ney": 119.5})
    assert artifacts.verify(world.output, "promotion").facts["card"] == card


def test_a_key_that_promote_does_not_know_is_a_users_error_before_anything_is_promoted(world):
    world.evaluate()
    assert world.promote("--promote-config", '{"licence": "CC0-1.0"}') == ExitCode.USER
    assert 'did you mean "promote.license"' in read_failure(world.output.parent / "work-dir" / "failure.json").remedy
    assert world.registry.champion() is None


def test_a_retry_succeeds(world):
    world.evaluate()
    assert (world.promote(), world.promote()) == (ExitCode.DONE, ExitCode.DONE)
    assert len(world.registry.history()) == 1


@pytest.mark.parametrize("decision", ["reject", "Promote", "promote ", ""])
def test_only_the_word_promote_promotes(world, decision):
    world.evaluate(decision=decision, written=decision or " ")
    assert world.promote() == ExitCode.STALE
    assert world.registry.champion() is None
    assert not world.output.exists()


@pytest.mark.parametrize(("decision", "written"), [("promote", "reject"), ("reject", "promote")])
def test_both_places_that_state_the_decision_must_agree(world, decision, written):
    world.evaluate(decision=decision, written=written)
    assert world.promote() == ExitCode.STALE
    assert world.registry.champion() is None


def test_a_blessing_of_another_model_is_refused(world):
    world.evaluate(model_id="f" * 64)
    assert world.promote() == ExitCode.STALE
    assert "the evaluation is of model ffff" in world.failure()


def test_a_champion_that_changed_since_makes_the_decision_stale(world, tmp_path):
    make_model(tmp_path / "other", "other weights")
    world.registry.promote(tmp_path / "other", evaluation="e", perplexity=80.0, split="test", compared_with="")
    world.evaluate()
    assert world.promote() == ExitCode.STALE
    assert world.registry.champion().perplexity == 80.0


def test_the_champion_compared_with_is_replaced(world, tmp_path):
    other = make_model(tmp_path / "other", "other weights")
    world.registry.promote(tmp_path / "other", evaluation="e", perplexity=95.0, split="test", compared_with="")
    world.evaluate(champion=other.id)
    assert world.promote() == ExitCode.DONE
    assert (world.registry.champion().version, world.registry.champion().previous) == (2, 1)


@pytest.mark.parametrize("name", ["model/model.keras", "evaluation/decision.json"])
def test_damaged_files_are_refused(world, tmp_path, name):
    world.evaluate()
    (tmp_path / name).write_text('{"decision": "promote"}')
    assert world.promote() == ExitCode.USER
    assert world.registry.champion() is None
