import asyncio
import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from components.use.serve import make_app
from hopline.schema import INPUT_EXAMPLE_FILE
from hopline.use.locate import locate
from hopline.use.model import Model
from hopline.use.requests import ServeRequest
from tests.components.use import browser

CLIENTS = 32


@pytest.fixture(scope="module")
def address(used):
    """A running server of the small model, whose limits are small."""
    located = locate(used[0])
    request = ServeRequest(
        folder=str(located.folder), version=1, place="it", host="127.0.0.1", port=0, name="hopline", champion=True,
        max_body=20_000, max_tokens=100, timeout=60.0,
    )  # fmt: skip
    server = uvicorn.Server(uvicorn.Config(make_app(Model(located), request), port=0, log_level="warning"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.05)
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def ask(url, body=None, headers=None):
    """The status and the text of an answer."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=120) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def complete(address, **body):
    status, text = ask(f"{address}/v1/completions", body)
    assert status == 200, text
    return json.loads(text)


def predict(address, body, model="hopline"):
    status, text = ask(f"{address}/v1/models/{model}:predict", body)
    return status, json.loads(text)


def test_a_completion_continues_the_prompt_and_a_seed_repeats_it(address):
    first = complete(address, prompt="w00 w07", max_tokens=9, seed=3, n=2)
    assert first["choices"] == complete(address, prompt="w00 w07", max_tokens=9, seed=3, n=2)["choices"]
    assert first["usage"] == {"prompt_tokens": 2, "completion_tokens": 18, "total_tokens": 20}
    assert [choice["finish_reason"] for choice in first["choices"]] == ["length", "length"]
    assert first["choices"][0]["text"] != first["choices"][1]["text"]


def test_a_stream_gives_the_same_text_in_parts(address):
    body = {"prompt": "w00 w07", "max_tokens": 9, "seed": 3, "logprobs": 2}
    whole = complete(address, **body)["choices"][0]
    _, text = ask(f"{address}/v1/completions", {**body, "stream": True})
    *events, end = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert end == "[DONE]"
    parts = [json.loads(event)["choices"][0] for event in events]
    assert len(parts) > 3
    assert "".join(part["text"] for part in parts) == whole["text"]
    tokens = [token for part in parts for token in part["logprobs"]["tokens"]]
    assert tokens == whole["logprobs"]["tokens"]
    assert parts[-1]["finish_reason"] == "length"


def test_echo_tells_the_log_probability_of_the_prompt_itself(address, used):
    choice = complete(address, prompt="w00 w07 nobody", max_tokens=0, echo=True, logprobs=3)["choices"][0]
    scored = predict(address, {"signature_name": "score", "inputs": {"text": ["w00 w07 nobody"]}})[1]["outputs"]
    assert choice["text"] == "w00 w07 nobody"
    assert choice["logprobs"]["tokens"] == ["w00", "w07", "nobody"]
    assert choice["logprobs"]["token_logprobs"] == pytest.approx([-nll for nll in scored["nll"]], abs=1e-5)
    assert choice["logprobs"]["text_offset"] == [0, 4, 8]
    assert [len(top) for top in choice["logprobs"]["top_logprobs"]] == [3, 3, 3]


def test_the_interface_of_tensorflow_serving_answers_every_input_example(address, used):
    examples = json.loads((used[0] / "model" / INPUT_EXAMPLE_FILE).read_text())
    for name, request in examples.items():
        status, answer = predict(address, request)
        assert status == 200, (name, answer)
    assert predict(address, {"signature_name": "generate", "inputs": ["w00"]})[0] == 200  # defaults are the export's
    rows = predict(address, {"signature_name": "next_words", "instances": [{"text": "w00"}, {"text": "w01"}]})[1]
    columns = predict(address, {"signature_name": "next_words", "inputs": {"text": ["w00", "w01"]}})[1]
    assert [row["words"] for row in rows["predictions"]] == columns["outputs"]["words"]
    metadata = json.loads(ask(f"{address}/v1/models/hopline/metadata")[1])
    assert set(examples) <= set(metadata["metadata"]["signature_def"]["signature_def"])
    for place in ("hopline", "hopline/versions/1", "hopline/labels/champion"):
        status = json.loads(ask(f"{address}/v1/models/{place}")[1])
        assert status["model_version_status"][0]["state"] == "AVAILABLE"
        assert predict(address, {"inputs": ["w00"]}, place)[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/completions", b"{", 400),
        ("/v1/completions", b"\xff", 400),
        ("/v1/completions", b"[" * 10_000, 400),
        ("/v1/completions", {"prompt": 3}, 400),
        ("/v1/completions", {"prompt": "w " * 20_000}, 413),
        ("/v1/completions", None, 405),
        ("/v1/models/another", None, 404),
        ("/v1/models/hopline/versions/2", None, 404),
        ("/v1/models/hopline/labels/canary", None, 404),
        ("/v1/models/hopline:predict", None, 405),
        ("/v1/models/hopline:predict", {"inputs": 1, "instances": []}, 400),
        ("/v1/models/hopline:predict", {"instances": []}, 400),
        ("/v1/models/hopline:predict", {"instances": ["w00"]}, 400),  # its answer has no row for each text
        ("/v1/models/hopline:predict", {"inputs": [[1]]}, 400),
        ("/v1/models/hopline:predict", {"signature_name": "dream", "inputs": ["w00"]}, 400),
        ("/v1/models/hopline:predict", {"inputs": {"text": ["w00"], "more": 1}}, 400),
        ("/v1/models/hopline:predict", {"signature_name": "generate", "inputs": {"text": [], "tokens": 1 << 30}}, 400),
        ("/v1/models/hopline:predict", {"signature_name": "next_words", "inputs": {"text": ["a"], "k": -1}}, 400),
        ("/v1/models/hopline:predict", {"signature_name": "next_words", "inputs": {"text": ["a"], "k": "x"}}, 400),
        (
            "/v1/models/hopline:predict",
            {"signature_name": "states", "inputs": {"text": "w " * 5001, "context": [0] * 8}},
            400,
        ),
        ("/v1/models/hopline:predict", {"signature_name": "begin", "inputs": {"text": [["w00"]]}}, 400),
        ("/nothing", None, 404),
    ],
)
def test_a_wrong_request_is_refused_with_a_message(address, path, body, status):
    found, text = ask(f"{address}{path}", body)
    assert found == status, text
    assert json.loads(text)["error"] if text.startswith("{") else text


def test_another_sites_page_does_not_reach_the_server_by_a_name_of_its_own(address):
    assert ask(f"{address}/health", headers={"Host": "evil.example"})[0] == 400
    assert ask(f"{address}/health")[0] == 200


def test_the_page_brings_all_it_needs(address):
    status, text = ask(address)
    assert status == 200
    assert "http" not in text.replace("http-equiv", "")


def test_many_clients_at_once_all_get_their_own_answer(address):
    def client(number):
        texts = []
        for turn in range(3):
            body = {"prompt": f"w{number % 40:02}", "max_tokens": 6, "seed": number, "stream": turn == 1}
            status, text = ask(f"{address}/v1/completions", body)
            assert status == 200, text
            if turn == 1:
                events = [event.removeprefix("data: ") for event in text.strip().split("\n\n")][:-1]
                texts.append("".join(json.loads(event)["choices"][0]["text"] for event in events))
            else:
                texts.append(json.loads(text)["choices"][0]["text"])
        return texts

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(client, range(CLIENTS)))
    assert all(len(set(texts)) == 1 for texts in answers)
    assert len({texts[0] for texts in answers}) > CLIENTS // 2


@pytest.mark.slow
@pytest.mark.skipif(browser.PROGRAM is None, reason="needs Chromium")
def test_a_person_at_the_page_continues_a_text_and_sees_its_surprisal(address, tmp_path):
    page = browser.Browser(tmp_path / "profile", address)
    try:
        page.wait("!!document.getElementById('surprisal')?.onclick")
        page.run("document.getElementById('prompt').value = 'w00 <b>w07</b> w03'")
        page.run("document.getElementById('tokens').value = 7")
        page.run("document.getElementById('continue').click()")
        idle = "!document.getElementById('continue').disabled"
        page.wait(idle)
        text = page.run("document.getElementById('text').textContent")
        expected = complete(
            address, prompt="w00 <b>w07</b> w03", max_tokens=7, temperature=0.8, top_k=50, seed=1
        )["choices"][0]["text"]  # fmt: skip
        assert text == "w00 <b>w07</b> w03" + expected
        assert page.run("document.querySelectorAll('#text b').length") == 0  # text is no markup
        page.run("document.getElementById('surprisal').click()")
        page.wait(f"{idle} && document.getElementById('note').textContent")
        assert "3 tokens, perplexity" in page.run("document.getElementById('note').textContent")
        assert page.run("document.getElementById('text').textContent") == "w00 <b>w07</b> w03"
        assert page.run("document.querySelectorAll('#text span')[0].title").count("%") == 3
        page.run("document.getElementById('tokens').value = 5000")  # more than the server gives
        page.run("document.getElementById('continue').click()")
        page.wait(f"{idle} && document.getElementById('note').textContent.includes('max_tokens')")
    finally:
        page.close()
