import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from hopline.model.generation import next_log_probs
from hopline.schema import INPUT_EXAMPLE_FILE, PAD, SAVED_MODEL_FOLDER
from hopline.use.exported import Exported
from tests.exported import MEMORY, make_output

TEXT = "w00 w07 w03 nobody\nw01 w02 w09 w11 w12 w13 w14 w15 w20 w21\nw22 w23\n"
HOW = {"tokens": 9, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3, "stop": [], "unknown": False}
NO_CACHE = {"cache_weight": 0.0, "cache_flatness": 0.0}


@pytest.fixture(scope="module")
def exported(used):
    return Exported(used[0] / "model")


def nothing():
    return np.full(MEMORY, PAD, np.int32)


def test_an_empty_batch_and_empty_texts_have_no_words(exported):
    assert exported.call("score", text=[])["row_splits"].tolist() == [0]
    scored = exported.call("score", text=["", TEXT, ""])
    assert scored["row_splits"].tolist() == [0, 0, 19, 19]
    assert exported.call("score_piece", context=nothing(), text="")["nll"].shape == (0,)
    assert exported.call("alternatives", context=nothing(), text="", k=3)["alternatives"].shape == (0, 3)
    assert exported.call("generate", text=[], **HOW)["words"].shape[0] == 0
    assert exported.call("next_words", text=[], k=2)["words"].shape == (0, 2)


def test_pieces_are_scored_as_the_whole_text(exported):
    whole = exported.call("score", text=[TEXT * 4])
    context, parts = nothing(), []
    for piece in ("w00 w07 w03 ", "nobody\n", TEXT[len("w00 w07 w03 nobody\n") :] + TEXT * 3):
        found = exported.call("score_piece", context=context, text=piece)
        context = found["context"]
        parts.append(found["nll"])
    np.testing.assert_allclose(np.concatenate(parts), whole["nll"], atol=1e-5, rtol=1e-5)


def test_alternatives_states_and_attention_go_with_the_same_scores(exported, used):
    network = used[1]
    scored = exported.call("score", text=[TEXT])["nll"]
    told = exported.call("alternatives", context=nothing(), text=TEXT, k=network.vocabulary_size)
    states = exported.call("states", context=nothing(), text=TEXT)
    attention = exported.call("attention", context=nothing(), text=TEXT)
    for found in (told, states, attention):
        np.testing.assert_allclose(found["nll"], scored, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(np.exp(told["alternative_log_probabilities"]).sum(1), 1.0, atol=1e-4)
    logits = states["states"] @ network.logit_table_VF.numpy().T + network.logit_bias_V.numpy()
    logits[:, PAD] = -np.inf  # it is no word
    likeliest = np.sort(tf.nn.log_softmax(logits).numpy())[:, ::-1]
    np.testing.assert_allclose(told["alternative_log_probabilities"], likeliest, atol=1e-4)
    np.testing.assert_allclose(attention["attention"][1:].sum(2), 1.0, atol=1e-5)
    assert not attention["attention"][0].any()


def test_the_next_words_are_the_networks_own(exported, used):
    network = used[1]
    text = "w00 w07 w03"
    ids = exported.call("score", text=[text])["ids"]
    context = np.concatenate([nothing(), ids])[-MEMORY:][None].astype(np.int32)
    expected = np.exp(next_log_probs(network, tf.constant(context)).numpy()[0])
    found = exported.call("next_words", text=[text], k=4)
    np.testing.assert_allclose(found["probabilities"][0], np.sort(expected)[::-1][:4], rtol=1e-4)
    assert found["ids"][0].tolist() == np.argsort(-expected)[:4].tolist()


def test_generating_at_once_and_in_parts_gives_the_same_words_with_the_models_own_probabilities(exported):
    whole = exported.call("generate", text=["w00 w07", ""], **HOW)
    state = exported.call("begin", text=["w00 w07", ""])
    width = exported.width("extend", "cache_states")
    cache = {"cache_states": np.zeros((2, 0, width)), "cache_ids": np.zeros((2, 0), np.int32), **NO_CACHE}
    parts = []
    for first in (0, 2, 7):
        tokens = min(5, HOW["tokens"] - first) if first else 2
        kept = {"context": state["context"], "ended": state["ended"]}
        state = exported.call("extend", **kept, **cache, first=first, **{**HOW, "tokens": tokens})
        parts.append(state["words"])
    assert np.concatenate(parts, axis=1).tolist() == whole["words"].tolist()
    text = b" ".join(whole["words"][0]).decode().replace("<eos>", "\n")
    scored = exported.call("score", text=[f"w00 w07 {text}"])["nll"][2:]
    np.testing.assert_allclose(whole["log_probabilities"][0], -scored, atol=1e-4, rtol=1e-5)


def test_a_stop_word_ends_a_text_and_is_no_part_of_it(exported):
    free = exported.call("generate", text=["w00", "w01"], **HOW)
    third = free["words"][0][2]
    ended = exported.call("generate", text=["w00", "w01"], **{**HOW, "stop": [third, b"not a word"]})
    at = free["words"][0].tolist().index(third)
    assert ended["lengths"][0] == at
    assert ended["ended"][0]
    assert ended["words"][0].tolist()[: at + 1] == [*free["words"][0].tolist()[:at], b""]


def test_the_nearest_word_is_not_the_word_itself_and_an_unknown_word_has_none(exported):
    found = exported.call("nearest", word="w05", k=3)
    assert b"w05" not in found["words"].tolist()
    assert (np.diff(found["similarities"]) <= 0).all()
    assert len(exported.call("nearest", word="nobody", k=3)["words"]) == 0
    assert len(exported.call("nearest", word="w05", k=10_000)["words"]) == 39  # of 40, without itself


@pytest.mark.slow
def test_slots_of_several_words_and_other_options_serve_as_well(tmp_path):
    options = {"slot_words": 2, "heads": 2, "norm": True, "query": "words", "query_words": 2, "tie": "all"}
    network = make_output(tmp_path, **options)
    exported = Exported(tmp_path / "model")
    found = exported.call("attention", context=nothing(), text=TEXT)
    assert found["attention"].shape[1:] == (2, network.slots)
    assert exported.call("generate", text=["w00"], **HOW)["lengths"].tolist() == [HOW["tokens"]]


ALONE = """
import json, sys
import tensorflow as tf
folder, requests = sys.argv[1:]
signatures = tf.saved_model.load(folder).signatures
for name, request in json.load(open(requests)).items():
    specs = signatures[name].structured_input_signature[1]
    inputs = {key: tf.constant(value, specs[key].dtype) for key, value in request["inputs"].items()}
    print(name, sorted(signatures[name](**inputs)))
scored = signatures["score"](text=tf.constant(["w00 w07 w03"]))["nll"].numpy().tolist()
assert "hopline" not in sys.modules
print(json.dumps(scored))
"""


@pytest.mark.slow
def test_tensorflow_alone_serves_the_input_example_in_any_locale(used, exported, tmp_path):
    folder = used[0] / "model"
    arguments = [sys.executable, "-c", ALONE, str(folder / SAVED_MODEL_FOLDER), str(folder / INPUT_EXAMPLE_FILE)]
    environment = {**os.environ, "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONPATH": ""}
    done = subprocess.run(
        arguments, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "generate" in done.stdout
    scored = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(scored, exported.call("score", text=["w00 w07 w03"])["nll"], atol=1e-5, rtol=1e-5)
