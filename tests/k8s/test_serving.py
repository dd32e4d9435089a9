"""k8s/overlays/serving: what runs, with which rights, and that its parts know each other."""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.follow.__main__ import arguments
from components.images import CONTROL
from tests.components.train.launch.cluster.rules import check_restricted

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "k8s" / "overlays" / "serving"


def manifest(name):
    return yaml.safe_load((OVERLAY / f"{name}.yaml").read_text())


@pytest.fixture
def pod():
    return manifest("deployment")["spec"]["template"]["spec"]


def test_the_pod_may_do_nothing_but_serve(pod):
    check_restricted(pod)
    assert pod["automountServiceAccountToken"] is False
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    (server,) = pod["containers"]
    assert all(mount.get("readOnly") or mount["name"] == "tmp" for mount in server["volumeMounts"])
    assert "envFrom" not in server  # the store's credentials are the follower's


def test_the_follower_is_the_control_image_and_takes_what_it_is_given(pod):
    (follower,) = pod["initContainers"]
    assert follower["image"] == CONTROL
    assert follower["args"][0] == "follow"
    options = arguments().parse_args(follower["args"][1:])
    assert options.work_dir.parent == options.models.parent  # one file system: files are linked
    assert follower["restartPolicy"] == "Always"


def test_the_server_serves_all_versions_of_the_folder_that_the_follower_fills(pod):
    text = (OVERLAY / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    options = arguments().parse_args(pod["initContainers"][0]["args"][1:])
    assert model.base_path == str(options.models)
    assert options.server.endswith(f"/v1/models/{model.name}")
    assert model.model_version_policy.WhichOneof("policy_choice") == "all"


def test_the_servers_release_is_that_of_the_tensorflow_that_trains(pod):
    (version,) = re.findall(
        r'"tensorflow==(\S+)\.\d+"', (ROOT / "pyproject.toml").read_text().split("preprocess = [")[1]
    )[:1]
    assert pod["containers"][0]["image"].startswith(f"tensorflow/serving:{version}.")
