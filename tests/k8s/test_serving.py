"""k8s/overlays/serving: what runs, with which rights, and that its parts know each other."""

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from components.follow.__main__ import arguments
from components.follow.config import ServingConfig
from components.images import CONTROL
from hopline.runtime.version import VERSION
from tests.components.train.launch.cluster.rules import check_restricted

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "k8s" / "overlays" / "serving"


def manifest(name):
    return yaml.safe_load((OVERLAY / f"{name}.yaml").read_text())


def tags():
    """The tag of each image, by its name."""
    content = yaml.safe_load((OVERLAY / "kustomization.yaml").read_text())
    return {image["name"]: image["newTag"] for image in content["images"]}


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
    assert follower["image"] == CONTROL.partition(":")[0]
    assert tags()["hopline-control"] == VERSION
    assert follower["args"][0] == "follow"
    options = arguments().parse_args(follower["args"][1:])
    assert options.work_dir.parent == options.models.parent  # one file system: files are linked
    assert follower["restartPolicy"] == "Always"


def test_the_server_serves_all_versions_of_the_folder_that_the_follower_fills(pod):
    options = arguments().parse_args(pod["initContainers"][0]["args"][1:])
    assert f"--model_config_file={options.config}" in pod["containers"][0]["args"]
    assert options.config.parent.parent == options.models.parent  # the volume that both have
    assert options.server.endswith("/v1/models/hopline")


def test_what_the_follower_writes_is_the_servers_configuration_and_names_the_champion(tmp_path):
    ServingConfig(tmp_path / "new" / "models.config", 'hop"line', Path("/models/x")).label(7)
    text = (tmp_path / "new" / "models.config").read_text()
    (model,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ('hop"line', "/models/x", "tensorflow")
    assert model.model_version_policy.WhichOneof("policy_choice") == "all"
    assert dict(model.version_labels) == {"champion": 7}


def test_a_label_may_be_given_before_its_version_answers_and_moves_without_a_restart(pod):
    arguments_ = pod["containers"][0]["args"]
    assert "--allow_version_labels_for_unavailable_models=true" in arguments_
    assert any(argument.startswith("--model_config_file_poll_wait_seconds=") for argument in arguments_)


def test_prometheus_finds_the_servers_numbers():
    text = (OVERLAY / "monitoring.config").read_text()
    # monitoring_config.proto is in no package: its fields are enable and path.
    (path,) = re.fullmatch(r'(?:#.*\n)+prometheus_config \{\s+enable: true\s+path: "(\S+)"\s+\}\n', text).groups()
    template = manifest("deployment")["spec"]["template"]
    notes = template["metadata"]["annotations"]
    assert notes["prometheus.io/path"] == path
    (server,) = template["spec"]["containers"]
    assert "--monitoring_config_file=/config/monitoring.config" in server["args"]
    assert f"--rest_api_port={notes['prometheus.io/port']}" in server["args"]


def test_the_servers_release_is_that_of_the_tensorflow_that_trains(pod):
    (version,) = re.findall(
        r'"tensorflow==(\S+)\.\d+"', (ROOT / "pyproject.toml").read_text().split("preprocess = [")[1]
    )[:1]
    assert pod["containers"][0]["image"] == "tensorflow/serving"
    assert tags()["tensorflow/serving"].startswith(f"{version}.")


def test_every_image_has_a_tag_that_does_not_move(pod):
    used = {container["image"] for container in (*pod["initContainers"], *pod["containers"])}
    assert used == tags().keys()
    assert not {"", "latest"} & set(tags().values())


def test_a_pod_is_ready_when_a_version_is_available_and_started_again_when_it_answers_nothing(pod):
    (server,) = pod["containers"]
    (port,) = [port["containerPort"] for port in server["ports"] if port["name"] == "rest"]
    assert f"--rest_api_port={port}" in server["args"]
    for probe, path in (
        ("startupProbe", "/v1/models/hopline/metadata"),
        ("readinessProbe", "/v1/models/hopline/metadata"),
        ("livenessProbe", "/v1/models/hopline"),
    ):
        assert server[probe]["httpGet"] == {"path": path, "port": "rest"}
    minutes = server["startupProbe"]["failureThreshold"] * server["startupProbe"]["periodSeconds"] / 60
    deadline = manifest("deployment")["spec"]["progressDeadlineSeconds"]
    assert minutes < deadline / 60 <= 20
    assert server["livenessProbe"]["failureThreshold"] >= 3


def test_no_container_may_take_all_of_its_node(pod):
    for container in (*pod["initContainers"], *pod["containers"]):
        amounts = container["resources"]
        assert amounts["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in amounts["limits"]
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)


def test_credentials_of_the_store_may_be_left_out(pod):
    (follower,) = pod["initContainers"]
    assert [source["secretRef"]["optional"] for source in follower["envFrom"]] == [True]


def test_only_pods_of_the_same_namespace_reach_the_server():
    policy = manifest("networkpolicy")["spec"]
    assert (
        policy["podSelector"]["matchLabels"].items()
        <= manifest("deployment")["spec"]["template"]["metadata"]["labels"].items()
    )
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {}}]


@pytest.mark.parametrize("overlay", ["kind", "gke"])
def test_a_namespace_of_ours_admits_only_restricted_pods(overlay):
    namespace = yaml.safe_load((ROOT / "k8s" / "overlays" / overlay / "namespace.yaml").read_text())
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", ["gke", "gke-kubeflow"])
def test_workers_act_as_an_account_of_their_own(overlay):
    account = yaml.safe_load((ROOT / "k8s" / "overlays" / overlay / "workload-identity.yaml").read_text())
    assert account["metadata"]["name"] == "hopline-worker"
    assert account["metadata"]["annotations"]["iam.gke.io/gcp-service-account"].startswith("hopline-worker@")
