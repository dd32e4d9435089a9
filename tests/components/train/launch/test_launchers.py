"""Where the workers are told to look."""

import argparse

import pytest

from components.train.launch.launchers import launch, place_examples
from hopline import artifacts
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.runtime.errors import UserError
from hopline.store import trees
from tests.servers import AmazonServer

STORE = "s3://bucket/hopline"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = AmazonServer(tmp_path_factory.mktemp("server"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.start()
        server.bucket("bucket")
        server.bucket("another")
        yield server
    server.close()


def sealed(folder, text):
    folder.mkdir()
    (folder / "vocabulary.txt").write_text(text)
    return artifacts.seal(folder, "examples", parents={}, config={})


@pytest.mark.parametrize("scheme", ["s3", "minio"])  # Kubeflow's name for the store that it brings is the second
def test_examples_that_kubeflow_keeps_in_the_workers_bucket_are_used_where_they_are(server, tmp_path, scheme):
    sealed(tmp_path / "examples", scheme)
    trees.send_tree(tmp_path / "examples", f"s3://bucket/kept/{scheme}", "test")
    offered = f"{scheme}://bucket/kept/{scheme}"
    assert place_examples(tmp_path / "examples", offered, STORE) == offered


@pytest.mark.parametrize("offered", ["", "/local/path", "s3://another/kept", "s3://bucket/changed", "s3://bucket/none"])
def test_other_examples_are_sent_to_the_workers_bucket(server, tmp_path, offered):
    identity = sealed(tmp_path / "examples", "the same").id
    sealed(tmp_path / "changed", "another")
    trees.send_tree(tmp_path / "examples", "s3://another/kept", "test")
    trees.send_tree(tmp_path / "changed", "s3://bucket/changed", "test")
    uri = place_examples(tmp_path / "examples", offered, STORE)
    assert uri == f"{STORE}/examples/{identity}"
    trees.fetch_tree(uri, tmp_path / "fetched", "test")
    assert artifacts.verify(tmp_path / "fetched", "examples").id == identity


def test_workers_of_this_machine_train_in_a_folder(tmp_path):
    options = argparse.Namespace(launcher="local")
    with pytest.raises(UserError) as caught:
        launch(options, ModelConfig(), TrainConfig(), tmp_path, "s3://bucket/training")
    assert "s3://bucket/training" in caught.value.message
