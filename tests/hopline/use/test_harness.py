"""The LM Evaluation Harness asks a model what it asks all models."""

import json
import math

import pytest

from hopline.runtime.errors import UserError

pytestmark = pytest.mark.lm_eval

TEXTS = ["w00 w07 w03 nobody\nw01", "w05 w06 w07 w08\n"]


@pytest.fixture(scope="module")
def lm(used):
    from lm_eval.api.registry import get_model

    import hopline.use.harness  # noqa: F401  registers it

    return get_model("hopline").create_from_arg_string(f"place={used[0]}")


def instances(kind, *arguments):
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, one, number) for number, one in enumerate(arguments)]


def test_a_text_costs_what_score_says_of_it(lm):
    found = lm.loglikelihood_rolling(instances("loglikelihood_rolling", *((text,) for text in TEXTS)))
    assert found == pytest.approx([-scored.totals.nats for scored in lm.model.score(TEXTS)])


def test_a_continuation_costs_what_the_whole_costs_more_than_its_context(lm):
    context, whole = lm.model.score(["w00 w07", "w00 w07 w03 w04"])
    [(found, greedy)] = lm.loglikelihood(instances("loglikelihood", ("w00 w07", " w03 w04")))
    assert found == pytest.approx(context.totals.nats - whole.totals.nats, abs=1e-4)
    assert not greedy
    [(all_of_it, _)] = lm.loglikelihood(instances("loglikelihood", ("", "w00 w07 w03 w04")))
    assert all_of_it == pytest.approx(-whole.totals.nats, abs=1e-4)
    assert lm.loglikelihood(instances("loglikelihood", ("w00", ""))) == [(0.0, True)]


def test_the_likeliest_words_are_told_to_be_greedy(lm):
    [text] = lm.model.generate("w00 w07", tokens=3, temperature=0, unknown=True)
    [(_, greedy)] = lm.loglikelihood(instances("loglikelihood", ("w00 w07", text)))
    assert greedy


def test_a_word_that_is_cut_in_two_is_scored_whole(lm):
    [(found, _)] = lm.loglikelihood(instances("loglikelihood", ("w00 w0", "7")))
    [(expected, _)] = lm.loglikelihood(instances("loglikelihood", ("w00", " w07")))
    assert found == pytest.approx(expected)


def test_generation_is_greedy_unless_asked_and_ends_before_a_stop(lm):
    limited = {"max_gen_toks": 20}
    asked = (("w00 w07", limited), ("w00 w07", {**limited, "temperature": 0.0}))
    free, again = lm.generate_until(instances("generate_until", *asked))
    assert free == again == lm.model.generate("w00 w07", tokens=20, temperature=0)[0]
    stop = free.split()[2]
    [stopped] = lm.generate_until(instances("generate_until", ("w00 w07", {"max_gen_toks": 20, "until": [stop, ""]})))
    assert stopped == free[: free.find(stop)]
    drawn = {"max_gen_toks": 20, "do_sample": True, "temperature": 1.5, "seed": 4}
    [sampled] = lm.generate_until(instances("generate_until", ("w00 w07", drawn)))
    assert sampled == lm.model.generate("w00 w07", tokens=20, temperature=1.5, seed=4)[0]


def test_a_task_of_the_harness_gives_the_perplexity_that_score_gives(lm, tmp_path, monkeypatch):
    import lm_eval

    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    texts = tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    task = {
        "task": "small", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(texts)}},
        "test_split": "test", "output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
    }  # fmt: skip
    found = lm_eval.simple_evaluate(model=lm, tasks=[task], bootstrap_iters=0)["results"]["small"]
    nats = sum(scored.totals.nats for scored in lm.model.score(TEXTS))
    size = sum(len(text.encode()) for text in TEXTS)
    assert found["bits_per_byte,none"] == pytest.approx(nats / size / math.log(2), rel=1e-6)


def test_a_chat_is_refused(lm):
    with pytest.raises(UserError, match="chat"):
        lm.apply_chat_template([{"role": "user", "content": "hello"}])
