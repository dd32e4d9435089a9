"""What a container gets when its arguments name an object store, and that no other gets it."""

import json

import pytest

from pipelines.reach import store_options

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "HTTPS_PROXY": "http://proxy:3128",
    "HOME": "/home/me", "SSH_AUTH_SOCK": "/run/agent",
}  # fmt: skip


def command(**parameters):
    given = json.dumps({"inputs": {"parameterValues": parameters}})
    return ["sh", "-c", "the source mentions gs://", "--executor_input", given, "--function_to_execute", "step"]


@pytest.mark.parametrize(
    "parameters", [{}, {"registry": "/data/registry", "corpus_config": json.dumps({"train": "/data/a.txt"})}]
)
def test_a_container_that_needs_no_store_gets_nothing(tmp_path, parameters):
    assert store_options(command(**parameters), ENVIRONMENT, tmp_path) == {}


@pytest.mark.parametrize(
    "parameters",
    [
        {"registry": "gs://bucket/registry"},
        {"registry": "minio://bucket"},
        {"registry": "/data", "corpus_config": json.dumps({"train": "s3://bucket/texts"})},
    ],
)
def test_one_that_names_a_store_gets_a_network_and_the_stores_variables_alone(tmp_path, parameters):
    options = store_options(command(**parameters), ENVIRONMENT, tmp_path)
    assert options["network_mode"] == "bridge"
    assert options["environment"].keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"}
    assert options["mounts"] == []


@pytest.mark.parametrize(
    ("variable", "endpoint", "network"),
    [
        ("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443", "host"),
        ("STORAGE_EMULATOR_HOST", "localhost:4443", "host"),
        ("AWS_ENDPOINT_URL_S3", "http://[::1]:9000", "host"),
        ("AWS_ENDPOINT_URL", "http://127.1.2.3", "host"),
        ("AWS_ENDPOINT_URL", "http://minio.example:9000", "bridge"),
        ("AWS_ENDPOINT_URL_S3", "http://10.0.0.7:9000", "bridge"),
    ],
)
def test_only_for_a_server_on_this_machines_loopback_it_shares_this_machines_network(
    tmp_path, variable, endpoint, network
):
    options = store_options(command(registry="gs://bucket"), {variable: endpoint}, tmp_path)
    assert options["network_mode"] == network
    assert options["environment"] == {variable: endpoint}


def test_files_with_credentials_are_mounted_to_read_wherever_they_are(tmp_path):
    (tmp_path / ".aws").mkdir()
    for name in ("key.json", ".aws/credentials"):
        (tmp_path / name).write_text("secret")
    given = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"), "AWS_CA_BUNDLE": str(tmp_path / "gone")}
    options = store_options(command(registry="gs://bucket"), given, tmp_path)
    assert {mount["Source"]: mount["Target"] for mount in options["mounts"]} == {
        given["GOOGLE_APPLICATION_CREDENTIALS"]: options["environment"]["GOOGLE_APPLICATION_CREDENTIALS"],
        str(tmp_path / ".aws/credentials"): options["environment"]["AWS_SHARED_CREDENTIALS_FILE"],
    }
    assert all(mount["ReadOnly"] for mount in options["mounts"])
