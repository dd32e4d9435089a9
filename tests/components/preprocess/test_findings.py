"""What the data contract found: each rule with its figure, the notable first."""

from components.preprocess.drift import Drift, Measure
from components.preprocess.findings import findings
from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig

PLAIN = {
    "words": 900, "tokens": 1_000, "types": 100, "type_ratio": 0.11, "unknown_rate": 0.02, "length_outliers": {},
}  # fmt: skip
SHARED = {"documents": 0, "5_grams": 0.02, "13_grams": 0.001, "compared": 800, "files": []}
FAR = {
    "documents": 1, "tokens": 500, "limit": 100, "median": 9, "longest": [{"document": "book", "tokens": 500}],
}  # fmt: skip


def found(statistics=None, skipped=0, drift=None, **config):
    statistics = statistics or {"train": PLAIN, "valid": PLAIN | {"in_training": SHARED}}
    return findings(statistics, skipped, CorpusConfig(), PreprocessConfig(**config), drift)


def notable(*arguments, **options):
    return [finding.notable for finding in found(*arguments, **options) if finding.notable]


def test_every_limit_of_the_contract_is_a_rule_with_its_figure():
    rules = found(drift=Drift(1, tuple(Measure(name, "t", 0.0) for name in ("words", "unknown", "types", "lengths"))))
    keys = {f"preprocess.{key}" for key in PreprocessConfig().to_dict() if key.startswith("max_")}
    assert {rule.key for rule in rules} == keys - {"preprocess.max_words"} | {
        "preprocess.min_tokens", "corpus.skip_lines", "",
    }  # fmt: skip
    assert all(rule.figure for rule in rules)


def test_ordinary_text_is_nothing_to_note():
    assert notable() == []


def test_what_is_held_out_and_in_the_training_text_is_noted_with_its_files():
    files = [{"file": "v/a", "in": "t/b", "share": 1.0, "documents": 2}]
    whole = PLAIN | {"in_training": SHARED | {"documents": 2, "files": files}}
    (note,) = notable({"train": PLAIN, "valid": whole})
    assert "2 whole documents" in note
    assert "v/a (in t/b)" in note
    assert len(notable({"train": PLAIN, "valid": PLAIN | {"in_training": SHARED | {"13_grams": 0.02}}})) == 1


def test_a_document_far_longer_than_the_others_is_noted_with_name_and_figures():
    (note,) = notable({"train": PLAIN | {"length_outliers": FAR}})
    for figure in ("1 document of train", "100 tokens", "median is 9", "50.0% of the split", "book (500)"):
        assert figure in note


def test_lines_that_were_left_out_are_noted():
    assert notable(skipped=3) == ["lines that are no document and were left out: 3"]


def test_drift_is_noted_beyond_a_tenth_and_beyond_chance():
    near, far = Measure("words", "as it is", 0.3, 0.25), Measure("words", "as it is", 0.3, 0.01)
    assert notable(drift=Drift(4, (near,))) == []
    (note,) = notable(drift=Drift(4, (far,)))
    assert "champion 4" in note


def test_a_limit_that_could_not_be_checked_is_noted_and_one_that_is_not_set_is_not():
    unmeasured = Drift(4, (Measure("lengths", "not compared"),))
    assert notable(drift=unmeasured) == []
    assert len(notable(drift=unmeasured, max_drift_lengths=0.2)) == 1


def test_what_is_notable_comes_first():
    rules = found({"train": PLAIN | {"length_outliers": FAR}}, skipped=1)
    states = [bool(rule.notable) for rule in rules]
    assert states == sorted(states, reverse=True)
    assert sum(states) == 2
