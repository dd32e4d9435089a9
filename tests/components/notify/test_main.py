"""The message at a run's end, against a webhook that may misbehave."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from components.notify.__main__ import arguments, main, post
from components.notify.component import notify
from hopline.schema import WEBHOOK_VARIABLE

FAILED = ["--run-name", "night", "--run-id", "r-1", "--state", "FAILED", "--error", "train: loss is nan"]


class Webhook:
    """A server that answers with `statuses`, one after the other; None breaks the connection."""

    def __init__(self, *statuses):
        self.statuses, self.got = list(statuses), []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                content = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.got.append((self.headers["Content-Type"], json.loads(content)))
                status = webhook.statuses.pop(0)
                if status is not None:
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/secret-part"

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def webhook():
    made = []

    def make(*statuses):
        made.append(Webhook(*statuses))
        return made[-1]

    yield make
    for server in made:
        server.close()


def tell(tmp_path, *options):
    return main([*FAILED, *options, "--work-dir", str(tmp_path)])


def test_the_declaration_takes_what_the_program_takes():
    taken = {action.dest for action in arguments()._actions if action.dest != "help"}
    assert {*notify.component_spec.inputs} - {"status"} == taken - {"state", "error"}


def test_a_failure_is_posted_once_with_all_that_is_known(webhook, monkeypatch, tmp_path):
    server = webhook(200)
    monkeypatch.setenv(WEBHOOK_VARIABLE, server.url)
    assert tell(tmp_path) == 0
    ((kind, content),) = server.got
    assert kind == "application/json"
    assert content["text"].endswith("night (r-1) ended as FAILED: train: loss is nan")
    assert (content["state"], content["id"]) == ("FAILED", "r-1")


def test_a_success_is_posted_to_nobody(webhook, monkeypatch, tmp_path):
    server = webhook(200)
    monkeypatch.setenv(WEBHOOK_VARIABLE, server.url)
    assert tell(tmp_path, "--state", "SUCCEEDED") == 0
    assert server.got == []


@pytest.mark.parametrize(
    ("statuses", "tries"),
    [((200,), 1), ((500, 200), 2), ((None, 429, 200), 3), ((503, 503, 503), 3), ((404,), 1)],
)
def test_a_webhook_that_fails_for_a_while_is_tried_again_and_not_for_ever(webhook, statuses, tries):
    server = webhook(*statuses)
    said = post(server.url, {}, pause=0)
    assert len(server.got) == tries
    assert said.startswith("sent") == (statuses[-1] == 200)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/secret-part", "no-url/secret-part", "http://[secret-part", "http://a b/secret-part"]
)
def test_no_webhook_fails_the_run_or_is_named_in_the_log(monkeypatch, tmp_path, capfd, url):
    monkeypatch.setenv(WEBHOOK_VARIABLE, url)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert tell(tmp_path) == 0
    out, err = capfd.readouterr()
    assert "secret-part" not in out + err
