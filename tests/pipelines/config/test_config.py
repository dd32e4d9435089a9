"""Configuration: strict keys, types and rules; one way from TOML to a step's JSON."""

import dataclasses
import json
from pathlib import Path

import pytest

from hopline.config.corpus import CorpusConfig
from hopline.config.evaluate import EvaluateConfig
from hopline.config.job import JobConfig
from hopline.config.model import ModelConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.resolve import ResolveConfig
from hopline.config.train import TrainConfig
from hopline.runtime.errors import UserError
from pipelines.config.cluster import ClusterConfig
from pipelines.config.config import Config
from pipelines.config.schedule import ScheduleConfig

SECTIONS = (
    CorpusConfig,
    ResolveConfig,
    PreprocessConfig,
    ModelConfig,
    TrainConfig,
    EvaluateConfig,
    JobConfig,
    ClusterConfig,
    ScheduleConfig,
)


def load(tmp_path: Path, text: str, *overrides: str) -> Config:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    return Config.load(tmp_path / "config.toml", overrides)


def test_an_empty_file_is_the_defaults(tmp_path):
    assert load(tmp_path, "") == Config() == Config.load(None)


def test_an_override_goes_before_the_file_and_the_file_before_the_default(tmp_path):
    config = load(tmp_path, "[train]\nepochs = 5\nseed = 6\n", "train.epochs=7")
    assert (config.train.epochs, config.train.seed) == (7, 6)
    assert config.train.sequences == TrainConfig().sequences


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("train.learning_rate=1", "train", "learning_rate", 1.0),
        ("train.learning_rate = 1e-2", "train", "learning_rate", 0.01),
        ("model.bias=true", "model", "bias", True),
        ("model.tie=all", "model", "tie", "all"),
        ('model.tie="all"', "model", "tie", "all"),
        ("corpus.train=/a b/*.txt", "corpus", "train", "/a b/*.txt"),
        ("corpus.train=a=b", "corpus", "train", "a=b"),
        ('preprocess.runner_options=["--a=1"]', "preprocess", "runner_options", ("--a=1",)),
    ],
)
def test_an_override_is_toml_or_else_text(override, section, key, value):
    found = getattr(getattr(Config.load(None, [override]), section), key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["123456789012", "12345e789012", "1.10", "2024-05-01", "true", "0x1f", "inf", "[1]"])
def test_a_key_that_is_text_takes_the_text_as_it_is_written(text):
    assert Config.load(None, [f"schedule.display_name={text}", "schedule.cron=@daily"]).schedule.display_name == text
    if text != "[1]":
        assert Config.load(None, [f"cluster.tag={text}"]).cluster.tag == text
        assert Config.load(None, [f'cluster.tag="{text}"']).cluster.tag == text


@pytest.mark.parametrize("override", ["", "train", "train.epochs", "epochs=3", ".epochs=3", "train.=3"])
def test_an_override_without_section_key_and_value_is_refused(override):
    with pytest.raises(UserError, match=r"section\.key=value"):
        Config.load(None, [override])


@pytest.mark.parametrize(
    ("override", "hint"),
    [("train.epoch=3", 'did you mean "train.epochs"?'), ("trian.epochs=3", 'did you mean "train"?')],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(override, hint):
    with pytest.raises(UserError) as caught:
        Config.load(None, [override])
    assert caught.value.remedy == hint


@pytest.mark.parametrize(
    "override",
    [
        "train.epochs=3.5", "train.epochs=true", "train.epochs=many", "train.learning_rate=true", "model.bias=1",
        "preprocess.runner_options=--a", "preprocess.runner_options=[1]",
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(override):
    name = override.partition("=")[0]
    with pytest.raises(UserError, match=name) as caught:
        Config.load(None, [override])
    assert f"set {name} to" in caught.value.remedy


@pytest.mark.parametrize(
    "override",
    [
        "corpus.documents=page", "corpus.invalid_utf8=ignore", "corpus.valid_fraction=1", "corpus.test_fraction=-0.1",
        "corpus.test_fraction=0.9", 'corpus.train=""', "preprocess.max_words=0", "preprocess.min_count=0",
        "preprocess.context=0", "preprocess.shard_bytes=0", "preprocess.max_unknown_rate=1.5", "preprocess.context=99",
        "model.width=1", "model.hops=0", "model.memory=0", "model.memory=513", "model.tie=some", "model.factor=-1",
        "model.init_stddev=0", "model.heads=0", "model.heads=4", "model.state_map=lstm", "model.map_width=9",
        "model.map_width=-1", "model.query=all", "model.query=words", "model.query_words=3", "model.slot_words=5",
        "model.slot_words=0", "model.projections=true", "train.seed=-1", "train.workers=0", "train.workers=3",
        "train.sequences=0",
        "train.targets=0", "train.sampling=any", "train.epochs=0", "train.max_steps=-1", "train.optimizer=adam",
        "train.learning_rate=0", "train.weight_decay=-1", "train.clip_norm=-1", "train.anneal=0.5",
        "train.min_learning_rate=-1", "train.precision=float16", "train.checkpoint_seconds=-1", "train.restarts=-1",
        "evaluate.split=train",
        "evaluate.max_perplexity=-1", "evaluate.min_gain=1", "evaluate.confidence=1", "evaluate.block=0",
        "train.learning_rate=inf", "evaluate.max_perplexity=nan", "evaluate.max_perplexity=inf",
        "schedule.display_name=nightly", "schedule.cron=@daily",
    ],
)  # fmt: skip
def test_a_value_that_breaks_a_rule_is_refused_with_a_remedy(override):
    with pytest.raises(UserError) as caught:
        Config.load(None, [override])
    assert caught.value.remedy


@pytest.mark.parametrize("cron", ["0 3 * * *", "0 0 0 30 2 *", "daily"])
def test_a_schedule_that_is_none_is_refused(cron):
    with pytest.raises(UserError, match="cron"):
        Config.load(None, ["schedule.display_name=nightly", f"schedule.cron={cron}"])


@pytest.mark.parametrize(("text", "message"), [("[train", "is not TOML"), ("train = 3", "train is not a section")])
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        load(tmp_path, text)


def test_an_override_below_something_that_is_no_section_is_refused(tmp_path):
    with pytest.raises(UserError, match="train is not a section"):
        load(tmp_path, "train = 3", "train.epochs=3")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not TOML"):
        Config.load(tmp_path / "config.toml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"missing\.toml"):
        Config.load(tmp_path / "missing.toml")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_goes_through_json_unchanged(section):
    text = section().to_json()
    assert section.from_json(text) == section()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"unknown": 1}'])
def test_json_that_is_no_section_is_refused(text):
    with pytest.raises(UserError):
        TrainConfig.from_json(text)


def test_a_section_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().epochs = 3  # type: ignore[misc]


def test_relative_patterns_become_absolute_and_others_stay():
    corpus = CorpusConfig(train="texts/*.txt", valid="/data/valid.txt", test="gs://bucket/test.txt")
    found = corpus.absolute(Path("/here"))
    assert (found.train, found.valid, found.test) == ("/here/texts/*.txt", "/data/valid.txt", "gs://bucket/test.txt")
    assert CorpusConfig().absolute(Path("/here")) == CorpusConfig()


def test_an_absolute_pattern_can_be_read_where_only_its_own_folder_exists():
    assert CorpusConfig(train="../texts/*.txt").absolute(Path("/here/now")).train == "/here/texts/*.txt"


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["corpus.valid_fraction=0"], "corpus.valid_fraction"),
        (["corpus.test=b.txt"], "corpus.valid"),
        (["evaluate.split=test", "corpus.test_fraction=0"], "corpus.test_fraction"),
        (["evaluate.split=test", "corpus.valid=b.txt"], "corpus.test"),
    ],
)
def test_a_split_that_nothing_makes_is_missed_before_anything_runs(overrides, key):
    with pytest.raises(UserError) as caught:
        Config.load(None, overrides)
    assert key in caught.value.remedy
    Config.load(None, ["corpus.test_fraction=0"])
    Config.load(None, ["corpus.valid=b.txt"])
