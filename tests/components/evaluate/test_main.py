import json
import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.evaluate.__main__ import choose_split, main
from components.train.report.export import export
from hopline import artifacts, schema
from hopline.model.network import MemoryNetwork
from hopline.registry.registry import Registry
from hopline.runtime.errors import ExitCode, UserError
from hopline.runtime.process import read_failure
from hopline.store import folders
from tests.support import synthetic_documents, write_examples

TEST = synthetic_documents(seed=3, documents=3, words=150)


def make_examples(folder: Path, words: int) -> artifacts.Manifest:
    """Examples of the same test split, whose training text holds only some of its words."""
    folder.mkdir()
    train = [" ".join(f"w{i:02}" for i in range(words)) + "\n"]
    return write_examples(folder, {"train": train, "test": TEST})


def make_model(folder: Path, examples: Path, *, seed: int, unigram: float) -> artifacts.Manifest:
    """An untrained model whose bias leans towards the words of the test split, by the power `unigram`."""
    manifest = artifacts.read_manifest(examples, schema.EXAMPLES)
    size = manifest.facts["vocabulary_size"]
    words = (examples / schema.VOCABULARY_FILE).read_text().split()
    text = " ".join(TEST).replace("\n", " <eos> ").split()
    counts = np.array([text.count(word) for word in words], float)
    counts[schema.UNKNOWN] = sum(word not in words for word in text)
    keras.utils.set_random_seed(seed)
    network = MemoryNetwork(vocabulary_size=size, width=4, hops=2, memory=5, bias=True)
    network.build((None, 12))
    network.logit_bias_V.assign(unigram * np.log(counts + 0.5))
    folder.mkdir()
    export(network, examples / schema.TRANSFORM_FOLDER, 16, folder)
    (folder / schema.VOCABULARY_FILE).write_bytes((examples / schema.VOCABULARY_FILE).read_bytes())
    return seal_model(folder, manifest, network)


class CharacterTransform(tf.Module):
    """The transform graph's contract for a tokeniser of characters."""

    def __init__(self, characters: str) -> None:
        super().__init__()
        keys = tf.constant([*characters, schema.RESERVED_WORDS[schema.EOS]])
        ids = tf.constant([*range(3, 3 + len(characters)), schema.EOS], tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), schema.UNKNOWN)

    @tf.function(input_signature=[{"text": tf.TensorSpec([None], tf.string)}])
    def transform_fn(self, inputs):
        characters = tf.strings.unicode_split(inputs["text"], "UTF-8")
        flat = tf.where(characters.flat_values == "\n", schema.RESERVED_WORDS[schema.EOS], characters.flat_values)
        return {
            "tokens": characters.with_flat_values(self.table.lookup(flat)),
            "words": characters.with_flat_values(flat),
        }


def make_character_model(folder: Path, characters: str) -> None:
    """An untrained model of characters, of no examples of ours."""
    folder.mkdir()
    tf.saved_model.save(CharacterTransform(characters), str(folder / "transform"))
    words = [*schema.RESERVED_WORDS, *characters]
    keras.utils.set_random_seed(5)
    network = MemoryNetwork(vocabulary_size=len(words), width=4, hops=1, memory=5)
    network.build((None, 12))
    (folder / schema.VOCABULARY_FILE).write_text("\n".join(words) + "\n")
    export(network, folder / "transform", 16, folder)
    facts = {"vocabulary_size": len(words), "fingerprint": "characters", "parameters": 1, "tokeniser": "characters"}
    artifacts.seal(folder, "model", parents={}, config={}, facts=facts)


def seal_model(folder: Path, examples: artifacts.Manifest, network: keras.Model) -> artifacts.Manifest:
    facts = {
        "vocabulary_size": examples.facts["vocabulary_size"],
        "fingerprint": examples.facts["fingerprint"],
        "parameters": network.count_params(),
    }
    return artifacts.seal(folder, "model", parents={"examples": examples.id}, config={}, facts=facts)


@dataclass(frozen=True)
class World:
    root: Path

    def evaluate(self, *, model: str, examples: str, champion: str = "", registry: str = "registry", **config) -> int:
        values = {
            "examples": self.root / examples,
            "model": self.root / model,
            "evaluate-config": json.dumps(config),
            "registry": self.root / registry,
            "champion": champion,
            "output": self.root / "evaluation",
            "work-dir": self.root / "work",
        }
        return main([part for name, value in values.items() for part in (f"--{name}", str(value))])

    def result(self, name: str) -> dict:
        return json.loads((self.root / "evaluation" / f"{name}.json").read_text())

    def failure(self) -> str:
        return read_failure(self.root / "work" / "failure.json").message


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Examples that know all words and some, a model of each, and the latter's as champion."""
    root = tmp_path_factory.mktemp("world")
    make_examples(root / "examples", words=40)
    make_examples(root / "narrow", words=10)
    make_model(root / "model", root / "examples", seed=1, unigram=1.0)
    make_model(root / "champion", root / "narrow", seed=2, unigram=1.0)
    Registry(root / "standing").promote(
        root / "champion", evaluation="e", perplexity=9.0, split="test", compared_with=""
    )
    return World(root)


def model_id(world: World, name: str) -> str:
    return artifacts.read_manifest(world.root / name, "model").id


@pytest.fixture(scope="module")
def first(world):
    """The evaluation of the model without a champion."""
    assert world.evaluate(model="model", examples="examples") == ExitCode.DONE
    return world


@pytest.mark.slow
def test_a_first_model_is_promoted(first):
    manifest = artifacts.verify(first.root / "evaluation", "evaluation")
    assert manifest.parents == {
        "examples": artifacts.read_manifest(first.root / "examples", "examples").id,
        "model": model_id(first, "model"),
    }
    assert manifest.facts["decision"] == first.result("decision")["decision"] == "promote"
    assert manifest.facts["reasons"] == first.result("decision")["reasons"] != []
    assert manifest.facts["split"] == "test"
    assert manifest.facts["challenger_perplexity"] == first.result("evaluation")["challenger"]["perplexity"]
    assert "champion_perplexity" not in manifest.facts

    evaluation = first.result("evaluation")
    tokens = sum(len(text.split()) + text.count("\n") for text in TEST)
    assert (evaluation["tokens"], evaluation["documents"]) == (tokens, len(TEST))
    assert evaluation["characters"] == sum(map(len, TEST))
    assert evaluation["champion"] is None
    assert evaluation["difference"] is None
    challenger = evaluation["challenger"]
    assert challenger["unknown_tokens"] == challenger["unknown_types"] == 0
    assert challenger["perplexity"] == pytest.approx(np.exp(challenger["nll"]))
    assert challenger["comparable_nll"] == challenger["nll"]
    bits = challenger["nll"] * tokens / np.log(2) / evaluation["characters"]
    assert challenger["bits_per_character"] == pytest.approx(bits)
    for group in {item["group"] for item in evaluation["slices"]}:
        assert sum(item["tokens"] for item in evaluation["slices"] if item["group"] == group) == tokens
    assert evaluation["calibration"]


@pytest.mark.slow
def test_the_baselines_of_the_training_text_are_scored_on_the_same_tokens(first):
    baselines = first.result("evaluation")["baselines"]
    assert set(baselines) == {"unigram", "kneser_ney_2", "kneser_ney_3", "kneser_ney_4", "kneser_ney_5"}
    counts = {f"w{number:02}": 2 for number in range(40)}  # the training text has each word once, and one is added
    words = [word for text in TEST for word in text.replace("\n", " <eos> ").split()]
    nll = [-np.log(counts.get(word, 2) / (41 + 42)) for word in words]
    assert baselines["unigram"]["perplexity"] == pytest.approx(np.exp(np.mean(nll)))
    facts = artifacts.read_manifest(first.root / "evaluation", "evaluation").facts
    assert facts["baselines"] == {name: item["perplexity"] for name, item in baselines.items()}


@pytest.mark.slow
def test_a_champion_of_another_vocabulary_is_compared_on_the_words_as_written(world):
    champion = model_id(world, "champion")
    code = world.evaluate(model="model", examples="examples", champion=champion, registry="standing")
    assert code == ExitCode.DONE
    manifest = artifacts.verify(world.root / "evaluation", "evaluation")
    assert manifest.parents["champion"] == champion
    evaluation = world.result("evaluation")
    challenger, champion = evaluation["challenger"], evaluation["champion"]
    # The champion knows 10 of the 40 words, so most are one word to it: easy to guess, and worth little.
    assert champion["unknown_types"] == 30
    assert champion["perplexity"] < challenger["perplexity"]
    unknown_share = champion["unknown_tokens"] / evaluation["tokens"]
    assert champion["comparable_nll"] == pytest.approx(champion["nll"] + unknown_share * np.log(30))
    assert champion["comparable_perplexity"] > challenger["comparable_perplexity"]
    difference = evaluation["difference"]
    assert difference["nll"] == pytest.approx(challenger["comparable_nll"] - champion["comparable_nll"])
    low, high = difference["interval"]
    assert low < difference["nll"] < high
    assert evaluation["compared"]["by"] == "tokens"
    assert (difference["kind"], difference["observations"]) == ("documents", len(TEST))
    assert (difference["confidence"] >= 0.95) == (high <= difference["margin"])
    assert world.result("decision")["decision"] == ("promote" if difference["confidence"] >= 0.95 else "reject")


@pytest.mark.slow
def test_an_export_of_other_weights_is_refused(world):
    bad = world.root / "bad"
    folders.place(world.root / "model", bad)
    examples = artifacts.read_manifest(world.root / "examples", "examples")
    network = keras.saving.load_model(bad / "model.keras")
    network.logit_bias_V.assign(network.logit_bias_V * 0.5)
    (bad / "model.keras").unlink()  # a link to the good one
    network.save(bad / "model.keras")
    seal_model(bad, examples, network)
    assert world.evaluate(model="bad", examples="examples") == ExitCode.INTERNAL
    assert "model.keras and its export disagree" in world.failure()


@pytest.mark.slow
def test_the_export_runs_in_a_process_of_its_own_whose_failure_is_ours(world):
    broken = world.root / "broken"
    folders.place(world.root / "model", broken)
    (broken / "saved_model" / "saved_model.pb").unlink()
    network = keras.saving.load_model(broken / "model.keras")
    seal_model(broken, artifacts.read_manifest(world.root / "examples", "examples"), network)
    assert world.evaluate(model="broken", examples="examples") == ExitCode.INTERNAL
    assert "cannot be loaded" in world.failure()


@pytest.mark.slow
def test_the_same_inputs_are_not_evaluated_again(first, monkeypatch):
    monkeypatch.setattr("components.evaluate.measure.measure", None)
    assert first.evaluate(model="model", examples="examples") == ExitCode.DONE


@pytest.mark.slow
def test_a_first_model_that_is_no_better_than_the_word_frequencies_or_too_slow_is_rejected(world):
    make_model(world.root / "untaught", world.root / "examples", seed=3, unigram=-1.0)
    assert world.evaluate(model="untaught", examples="examples", max_latency_ms=1e-6) == ExitCode.DONE
    decision = world.result("decision")
    assert decision["decision"] == "reject"
    assert decision["summary"].endswith("of word frequencies alone.")
    baseline, latency = decision["reasons"]
    assert baseline.startswith("baseline: ")
    assert latency.startswith("latency: scoring a line takes")
    assert world.result("evaluation")["challenger"]["line_milliseconds"] > 1e-6


@pytest.mark.slow
def test_a_model_whose_numbers_are_not_finite_is_rejected_with_the_reason(world):
    make_model(world.root / "infinite", world.root / "examples", seed=4, unigram=math.nan)
    assert world.evaluate(model="infinite", examples="examples") == ExitCode.DONE
    assert world.result("decision")["decision"] == "reject"
    assert "the challenger's perplexity is nan" in world.result("decision")["reasons"][0]
    facts = artifacts.verify(world.root / "evaluation", "evaluation").facts
    assert facts["challenger_perplexity"] == world.result("evaluation")["challenger"]["perplexity"] == "nan"


@pytest.mark.slow
def test_a_challenger_that_cannot_name_the_champion_s_words_is_rejected(world):
    Registry(world.root / "wide").promote(
        world.root / "model", evaluation="e", perplexity=9.0, split="test", compared_with=""
    )
    champion = model_id(world, "model")
    code = world.evaluate(model="champion", examples="narrow", champion=champion, registry="wide", beat="none")
    assert code == ExitCode.DONE
    assert world.result("evaluation")["challenger"]["perplexity"] < world.result("evaluation")["champion"]["perplexity"]
    assert world.result("decision")["reasons"][0].startswith("unknown: ")


@pytest.mark.slow
def test_a_champion_of_another_tokeniser_is_compared_per_character(world):
    make_character_model(world.root / "letters", "w0123456789 ")
    Registry(world.root / "lettered").promote(
        world.root / "letters", evaluation="e", perplexity=9.0, split="test", compared_with=""
    )
    code = world.evaluate(model="model", examples="examples", champion=model_id(world, "letters"), registry="lettered")
    assert code == ExitCode.DONE
    evaluation = world.result("evaluation")
    characters = sum(map(len, TEST))
    assert (
        evaluation["compared"]["by"]
        == artifacts.read_manifest(world.root / "evaluation", "evaluation").facts["compared_by"]
        == "characters"
    )
    champion, difference = evaluation["champion"], evaluation["difference"]
    assert (champion["tokens"], evaluation["characters"]) == (characters, characters)
    assert champion["unknown_tokens"] == 0
    assert champion["bits_per_character"] == pytest.approx(np.log2(15), rel=0.05)  # untrained: all 15 about even
    bits = evaluation["challenger"]["bits_per_character"] - champion["bits_per_character"]
    assert difference["nll"] == pytest.approx(bits * np.log(2))
    assert (difference["per"], difference["observations"]) == ("character", len(TEST))
    assert world.result("decision")["decision"] == "promote"


def test_a_champion_other_than_the_one_planned_against_is_stale(world):
    code = world.evaluate(model="model", examples="examples", champion="another", registry="standing")
    assert code == ExitCode.STALE
    assert world.evaluate(model="model", examples="examples", registry="standing") == ExitCode.STALE


def test_a_model_of_other_examples_is_refused(world):
    assert world.evaluate(model="champion", examples="examples") == ExitCode.USER
    assert "was trained on other examples" in world.failure()


def test_a_wrong_configuration_is_refused(world):
    assert world.evaluate(model="model", examples="examples", min_gian=0.1) == ExitCode.USER
    assert world.evaluate(model="model", examples="examples", split="valid") == ExitCode.USER
    assert "the examples have tokens in test" in world.failure()


@pytest.mark.parametrize(
    ("tokens", "wanted", "chosen"),
    [
        ({"valid": 5, "test": 7}, "auto", "test"),
        ({"valid": 5, "test": 0}, "auto", "valid"),
        ({"valid": 5}, "auto", "valid"),
        ({"valid": 5, "test": 7}, "valid", "valid"),
        ({"valid": 0, "test": 7}, "test", "test"),
    ],
)
def test_auto_is_the_test_split_where_it_has_tokens(tmp_path, tokens, wanted, chosen):
    assert choose_split(_examples(tmp_path, tokens), wanted) == chosen


@pytest.mark.parametrize(
    ("tokens", "wanted"), [({}, "auto"), ({"train": 9}, "auto"), ({"valid": 5}, "test"), ({"test": 0}, "auto")]
)
def test_a_split_without_tokens_is_refused(tmp_path, tokens, wanted):
    with pytest.raises(UserError, match=r"evaluate\.split"):
        choose_split(_examples(tmp_path, tokens), wanted)


def _examples(folder, tokens):
    counts = {split: {"tokens": count} for split, count in tokens.items()}
    return artifacts.seal(folder, "examples", parents={}, config={}, counts=counts)
