"""Says how a run on a cluster ended: `python -m components.notify`.

A line in the log, and for a run that failed one POST to the webhook whose URL is in HOPLINE_WEBHOOK_URL, which comes
from a Secret.  The URL is a credential: it never reaches a log, and neither do the words of an error that may quote it.
Whatever becomes of the message, the run ends as it was going to end.
"""

import argparse
import itertools
import json
import math
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

from hopline.runtime import program
from hopline.runtime.retry import pauses
from hopline.schema import WEBHOOK_VARIABLE

_TRIES = 3
_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 10.0
_TOO_MANY = 429


def arguments() -> argparse.ArgumentParser:
    """What the program takes."""
    parser = program.parser("notify", "Says how a run ended.")
    parser.add_argument("--run-name", required=True, help="the run's name")
    parser.add_argument("--run-id", required=True, help="the run's id, for `hopline runs show`")
    parser.add_argument("--state", required=True, help="how it ended, in Kubeflow's words, such as SUCCEEDED")
    parser.add_argument("--error", default="", help="what Kubeflow says of a failure, if anything")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, notifies, and returns the exit code."""
    return program.run("notify", arguments(), _notify, argv)


def _notify(options: argparse.Namespace) -> None:
    text = f"hopline: the run {options.run_name} ({options.run_id}) ended as {options.state}"
    if options.error:
        text += f": {options.error}"
    print(f"notify: {text}", file=sys.stderr)
    url = os.environ.get(WEBHOOK_VARIABLE, "")
    if url and options.state != "SUCCEEDED":
        content = {"text": text, "run": options.run_name, "id": options.run_id, "state": options.state}
        print(f"notify: {post(url, {**content, 'error': options.error})}", file=sys.stderr)


def post(url: str, content: dict[str, str], pause: float = _PAUSE_SECONDS) -> str:
    """Posts `content` as JSON, in three tries at most, and returns what became of it."""
    result, again = _try(url, json.dumps(content).encode())
    for seconds in itertools.islice(pauses(math.inf, first=pause), _TRIES - 1):
        if not again:
            break
        time.sleep(seconds)
        result, again = _try(url, json.dumps(content).encode())
    return result


def _try(url: str, body: bytes) -> tuple[str, bool]:
    """What became of one POST, and whether another may do better."""
    if not url.startswith(("https://", "http://")):
        return f"{WEBHOOK_VARIABLE} does not begin with https:// or http://: not sent to the webhook", False
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
            return "sent to the webhook", False
    except urllib.error.HTTPError as error:
        return f"not sent to the webhook: status {error.code}", error.code >= 500 or error.code == _TOO_MANY
    except (OSError, ValueError) as error:  # a redirection to no address, a URL with a blank, a server that is away
        return f"not sent to the webhook: {type(error).__name__}", isinstance(error, OSError)
    except Exception as error:  # http.client has errors of its own; none of them may fail the run
        return f"not sent to the webhook: {type(error).__name__}", False


if __name__ == "__main__":
    sys.exit(main())
