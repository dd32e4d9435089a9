"""What the container of a step needs to reach an object store: a network and the credentials of the user who runs it.

A container gets them only if its own arguments name a store.  Credentials go by environment and as files mounted
read-only, never by argument: those are in the log.
"""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docker.types import Mount

from hopline.runtime.places import SCHEMES

_ENDPOINTS = ("STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_VARIABLES = (
    *("STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_FILES = {  # variables that name a file, and where it is if they are not set
    "GOOGLE_APPLICATION_CREDENTIALS": ".config/gcloud/application_default_credentials.json",
    "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials",
    "AWS_CONFIG_FILE": ".aws/config",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "",
    "AWS_CA_BUNDLE": "",
    "REQUESTS_CA_BUNDLE": "",
}
_FOLDER = "/run/hopline"  # of those files in a container: a home may be closed to the user of the image


def store_options(command: Sequence[str], environment: Mapping[str, str], home: Path) -> dict[str, Any]:
    """Options of `containers.run` to add for the container of a task.

    Args:
        command: kfp's, with the task's arguments.
        environment: of the process that runs the pipeline.
        home: the folder where the clients of the stores look for credentials.

    Returns:
        `network_mode`, `environment` and `mounts`; nothing if no argument names an object store.
    """
    if not _names_a_store(command):
        return {}
    variables = {name: value for name, value in environment.items() if name.startswith("AWS_") or name in _VARIABLES}
    mounts = []
    for variable, usual in _FILES.items():
        file = Path(environment.get(variable) or home / usual)
        if file.is_file():
            variables[variable] = f"{_FOLDER}/{variable}"
            mounts.append(Mount(variables[variable], str(file.absolute()), type="bind", read_only=True))
    # A server that listens on this machine's loopback alone cannot be reached from any other network.
    here = any(_is_loopback(environment.get(name, "")) for name in _ENDPOINTS)
    return {"network_mode": "host" if here else "bridge", "environment": variables, "mounts": mounts}


def _names_a_store(command: Sequence[str]) -> bool:
    """Whether a parameter of the task does; its command also holds the source of a function, which does not count."""
    if "--executor_input" not in command:
        return False
    given = json.loads(command[command.index("--executor_input") + 1])["inputs"].get("parameterValues", {})
    return any(scheme in str(value) for value in given.values() for scheme in SCHEMES)


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
