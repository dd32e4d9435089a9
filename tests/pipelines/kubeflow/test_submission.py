"""What is sent, and what is not."""

import json

import pytest

from hopline.runtime.errors import UserError
from hopline.runtime.version import VERSION
from pipelines.config.config import Config
from pipelines.kubeflow import submission as module
from pipelines.kubeflow.submission import prepare, start, upload, warnings


@pytest.fixture
def at(monkeypatch):
    """Sets the commit of the source tree."""

    def be_at(revision):
        monkeypatch.setattr(module, "git_revision", lambda: revision)

    be_at("0123456789abcdef")
    return be_at


@pytest.fixture
def load(at):
    return lambda *overrides: Config.load(None, ["cluster.registry=s3://models/x", *overrides])


def uploaded(client, *configs):
    return [upload(client, prepare(config)).name for config in configs]


def test_a_version_is_named_by_the_commit(client, load):
    assert uploaded(client, load()) == ["0123456789ab"]


def test_the_same_pipeline_is_uploaded_once_whatever_it_is_run_with(server, client, load):
    other = load(
        "train.epochs=3", "cluster.experiment=other", "cluster.registry=gs://elsewhere/y", "cluster.service_account=me"
    )
    first, second = uploaded(client, load(), other)
    assert first == second
    assert len(server.called("upload_pipeline_version")) == 1


def test_another_pipeline_of_the_same_commit_is_a_version_of_its_own(server, client, load):
    first, second, third = uploaded(client, load(), load("cluster.memory=8Gi"), load("cluster.memory=8Gi"))
    assert first != second == third
    assert second.startswith("0123456789ab-")
    assert len(server.versions) == 2


@pytest.mark.parametrize(
    ("revision", "start_"), [("0123456789abcdef+changes", "0123456789ab-changes-"), ("", f"{VERSION}-")]
)
def test_what_no_commit_names_is_named_by_its_content(client, at, load, revision, start_):
    at(revision)
    first, second, other = uploaded(client, load(), load(), load("cluster.memory=8Gi"))
    assert first == second != other
    assert first.startswith(start_)


def test_a_run_carries_the_whole_configuration(server, client, load):
    config = load(
        "train.epochs=3", "cluster.launcher=kubernetes", "job.store=s3://models/x", "cluster.service_account=trainer"
    )
    submission = prepare(config, "my run")
    start(client, submission, upload(client, submission))
    (run,) = server.runs.values()
    parameters = run["runtime_config"]["parameters"]
    assert json.loads(parameters["train"])["epochs"] == 3
    assert (parameters["registry"], parameters["launcher"]) == ("s3://models/x", "kubernetes")
    assert (run["display_name"], run["service_account"]) == ("my run", "trainer")
    (experiment,) = server.experiments.values()
    assert (run["experiment_id"], experiment["display_name"]) == (experiment["experiment_id"], "hopline")


def test_a_version_of_our_name_with_another_content_is_refused(server, client, load):
    submission = prepare(load())
    pipeline = client.pipeline(module.PIPELINE, "about")
    for name in submission.version_names:
        client.upload_version(pipeline, name, submission.content, tags={"content": "other"})
    with pytest.raises(UserError, match="holds something else"):
        upload(client, submission)


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["cluster.registry="], "registry"),
        (["cluster.registry=/tmp/registry"], "cluster.registry"),
        (["cluster.registry=registry"], "cluster.registry"),
        (["corpus.train=texts/*.txt"], "corpus.train"),
        (["corpus.valid=/texts/valid.txt"], "corpus.valid"),
        (["cluster.claim=data", "cluster.registry=/database/registry"], "cluster.registry"),
    ],
)
def test_a_place_of_this_machine_is_refused_with_a_remedy(load, overrides, word):
    with pytest.raises(UserError, match=word) as caught:
        prepare(load(*overrides))
    assert "s3://" in caught.value.remedy


@pytest.mark.parametrize(
    "overrides",
    [
        ["corpus.train=gs://texts/*.txt"],
        ["cluster.claim=data", "cluster.registry=/data/registry", "corpus.train=/data/texts"],
    ],
)
def test_a_place_that_pods_see_is_taken(load, overrides):
    assert prepare(load(*overrides)).parameters["registry"]


def test_images_named_by_the_version_alone_are_warned_of_in_a_checkout(at, load):
    config = load()
    assert len(list(warnings(config, prepare(config)))) == 1
    own = load("cluster.tag=0123456789ab", "cluster.image_prefix=registry.example/team/")
    assert list(warnings(own, prepare(own))) == []
    assert "registry.example/team/hopline-train:0123456789ab" in prepare(own).images
    at("")
    assert list(warnings(config, prepare(config))) == []


@pytest.mark.parametrize("overrides", [[], ["job.claim=disk"]], ids=str)
def test_a_job_whose_workers_cannot_meet_is_not_submitted(load, overrides):
    with pytest.raises(UserError) as caught:
        prepare(load("cluster.launcher=kubernetes", *overrides))
    assert "job.store" in caught.value.remedy
    prepare(load("cluster.launcher=kubernetes", "job.store=gs://bucket/x"))
