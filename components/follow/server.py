"""What a TensorFlow Serving server says of its versions, over its REST API."""

import json
import urllib.error
import urllib.request

_SECONDS = 5.0
_MOST_BYTES = 1_000_000


class Server:
    """The server whose model has the status URL `url`: http://host:port/v1/models/<name>.

    Source: "Model status API", https://www.tensorflow.org/tfx/serving/api_rest
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def obstacle(self, version: int) -> str:
        """Why `version` is not answering requests, "" if it is."""
        try:
            states, messages = _states(self._url)
        except (OSError, ValueError, KeyError, TypeError) as error:  # urllib's errors are of OSError
            return f"the server does not say what it serves: {error}"
        if version not in states:
            return "the server has not seen it yet"
        if states[version] == "AVAILABLE":
            return ""
        return " ".join([f"the server has it in state {states[version]}", messages[version]]).rstrip()

    def unlabelled(self, version: int, label: str) -> str:
        """Why `version` does not answer requests for `label`, "" if it does."""
        try:
            states, _ = _states(f"{self._url}/labels/{label}")
        except (OSError, ValueError, KeyError, TypeError):  # also 404: nothing has the label yet
            states = {}
        return "" if version in states else f'the server has not given it the label "{label}" yet'


def _states(url: str) -> tuple[dict[int, str], dict[int, str]]:
    """The state of each version, and what is said of it."""
    with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310  the pod's own URL
        found = json.loads(answer.read(_MOST_BYTES))["model_version_status"]
    states = {int(entry["version"]): str(entry["state"]) for entry in found}
    return states, {int(entry["version"]): str(entry["status"]["error_message"]) for entry in found}
