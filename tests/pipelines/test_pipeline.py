"""The compiled graph.

After an intended change renew the golden file and read its diff:

    hopline compile --output tests/golden/pipeline.yaml
"""

import json
from pathlib import Path

import pytest
import yaml

from components.images import USER
from components.steps import IMAGES, image_of
from hopline.runtime.errors import UserError
from hopline.runtime.version import VERSION
from hopline.schema import WEBHOOK_VARIABLE
from pipelines.compiled import pipeline_yaml, write_pipeline
from pipelines.config.config import Config
from pipelines.pipeline import parameters

GOLDEN = Path(__file__).parents[1] / "golden" / "pipeline.yaml"


GRAPHS = ("", "comp-exit-handler-1", "comp-condition-2", "comp-condition-3")


def compiled(*overrides):
    """The pipeline's specification, and what is added for Kubernetes."""
    pipeline, platform = yaml.safe_load_all(pipeline_yaml(Config.load(None, overrides)))
    return pipeline, platform["platforms"]["kubernetes"]


@pytest.fixture(scope="module")
def spec():
    return compiled()[0]


def tasks(spec, component):
    """The tasks of a component that is a graph; "" is the root."""
    return (spec["components"][component] if component else spec["root"])["dag"]["tasks"]


def test_the_compiled_pipeline_is_the_golden_one():
    golden = list(yaml.safe_load_all(GOLDEN.read_text(encoding="utf-8")))
    assert list(yaml.safe_load_all(pipeline_yaml(Config()))) == golden


def test_training_and_promotion_each_hang_on_one_word(spec):
    assert tasks(spec, "comp-exit-handler-1").keys() == {"resolve", "condition-2"}
    assert tasks(spec, "comp-condition-2").keys() >= {"preprocess", "train", "evaluate", "condition-3"}
    assert "promote" in tasks(spec, "comp-condition-3")
    conditions = [
        tasks(spec, "comp-exit-handler-1")["condition-2"]["triggerPolicy"]["condition"],
        tasks(spec, "comp-condition-2")["condition-3"]["triggerPolicy"]["condition"],
    ]
    assert conditions == [
        "inputs.parameter_values['pipelinechannel--resolve-Output'] == 'train'",
        "inputs.parameter_values['pipelinechannel--evaluate-Output'] == 'promote'",
    ]


def test_the_end_is_told_of_whatever_the_end_is(spec):
    assert tasks(spec, "").keys() == {"exit-handler-1", "notify"}
    notify = tasks(spec, "")["notify"]
    assert notify["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert notify["inputs"]["parameters"]["status"]["taskFinalStatus"]["producerTask"] == "exit-handler-1"


def test_a_step_whose_arguments_do_not_say_all_is_never_cached(spec):
    found = {}
    for graph in GRAPHS:
        for name, task in tasks(spec, graph).items():
            if name in IMAGES:
                found[name] = task["cachingOptions"].get("enableCache", False)
    cached = {step for step, caching in found.items() if caching}
    assert found.keys() == IMAGES.keys()
    assert cached >= {"preprocess", "train"}
    assert not cached & {"resolve", "evaluate", "promote", "notify"}  # they read what changes behind equal arguments


def test_every_section_that_a_step_reads_is_a_parameter(spec):
    config = Config()
    defaults = {
        name: parameter.get("defaultValue")
        for name, parameter in spec["root"]["inputDefinitions"]["parameters"].items()
    }
    others = {"registry": None, "work_dir": "/tmp/hopline", "launcher": "local"}
    assert defaults == {**parameters(config), **others}
    assert parameters(config).keys() == config.to_dict().keys() - {"cluster", "schedule"}


def test_a_compiled_registry_and_launcher_are_those_of_the_cluster():
    spec, _ = compiled("cluster.registry=s3://models/x", "cluster.launcher=kubernetes")
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert (inputs["registry"]["defaultValue"], inputs["launcher"]["defaultValue"]) == ("s3://models/x", "kubernetes")


def test_no_pod_runs_as_root_or_may_do_more_than_it_must():
    """Kubeflow itself adds what is left of the Pod Security Standard `restricted`."""
    _, platform = compiled()
    executors = platform["deploymentSpec"]["executors"]
    assert executors.keys() == {f"exec-{step}" for step in IMAGES}
    for executor in executors.values():
        user = {"runAsUser": str(USER), "runAsGroup": str(USER), "runAsNonRoot": True}
        assert executor["securityContext"] == user
        assert "secretAsEnv" not in executor


def test_images_and_their_resources_are_those_of_the_cluster():
    overrides = [
        "cluster.image_prefix=registry.example/team/",
        "cluster.tag=0123456789ab",
        "cluster.cpu='3'",
        "cluster.memory=9Gi",
    ]
    spec, platform = compiled(*overrides, "cluster.pull_policy=Always")
    containers = {name: each["container"] for name, each in spec["deploymentSpec"]["executors"].items()}
    for step in IMAGES:
        assert containers[f"exec-{step}"]["image"] == image_of(step, "registry.example/team/", "0123456789ab")
        assert platform["deploymentSpec"]["executors"][f"exec-{step}"]["imagePullPolicy"] == "Always"
    assert containers["exec-train"]["resources"]["resourceCpuRequest"] == "3"
    assert containers["exec-train"]["resources"]["resourceMemoryLimit"] == "9Gi"
    assert containers["exec-resolve"]["resources"]["resourceMemoryLimit"] == "512Mi"


@pytest.mark.parametrize(
    ("overrides", "image"),
    [
        ([], image_of("train", "", VERSION)),
        (["cluster.image_prefix=registry.example/team/", "cluster.tag=abc"], "registry.example/team/hopline-train:abc"),
        (["cluster.tag=abc", "job.image=mine:1"], "mine:1"),
    ],
)
def test_a_job_s_workers_have_the_image_of_the_train_step_unless_told_otherwise(overrides, image):
    assert json.loads(parameters(Config.load(None, overrides))["job"])["image"] == image


def test_what_is_set_on_the_train_task_is_for_the_pods_that_train_but_for_its_own_resources():
    def passed_on(*overrides):
        """Whether the task's own pod gets what is passed on to workers, by field; and the pod's own resources."""
        spec, _ = compiled(*overrides)
        fields = spec["components"]["comp-train"]["taskConfigPassthroughs"]
        own = {each["field"]: each.get("applyToTask", False) for each in fields}
        return own, spec["deploymentSpec"]["executors"]["exec-train"]["container"]["resources"]

    in_the_pod, amounts = passed_on("cluster.cpu=3")
    assert all(in_the_pod.values())
    assert amounts["resourceCpuRequest"] == "3"
    in_a_job, _ = passed_on("cluster.cpu=3", "cluster.launcher=kubernetes")
    assert in_a_job.keys() == in_the_pod.keys() - {"RESOURCES"}
    assert {field for field, own in in_a_job.items() if own} == {"ENV", "KUBERNETES_VOLUMES"}


@pytest.mark.parametrize(
    ("overrides", "cpu", "memory"),
    [([], "500m", "4Gi"), (["cluster.launcher_cpu=1", "cluster.launcher_memory=9Gi"], "1", "9Gi")],
)
def test_no_step_is_without_requests_and_a_memory_limit_also_where_a_job_trains(overrides, cpu, memory):
    spec, _ = compiled("cluster.launcher=kubernetes", *overrides)
    amounts = {name: each["container"]["resources"] for name, each in spec["deploymentSpec"]["executors"].items()}
    assert amounts.keys() == {f"exec-{step}" for step in IMAGES}
    for each in amounts.values():
        assert each["resourceCpuRequest"]
        assert each["resourceMemoryRequest"] == each["resourceMemoryLimit"] != ""
    assert (amounts["exec-train"]["resourceCpuRequest"], amounts["exec-train"]["resourceMemoryLimit"]) == (cpu, memory)


def test_no_step_waits_for_ever():
    def limits(*overrides):
        executors = compiled(*overrides)[1]["deploymentSpec"]["executors"]
        return {name: int(each.get("activeDeadlineSeconds", 0)) for name, each in executors.items()}

    assert limits().keys() == {f"exec-{step}" for step in IMAGES}
    assert all(0 < seconds < Config().cluster.max_seconds for seconds in limits().values())
    own = limits("cluster.step_seconds=60", "cluster.train_seconds=0")
    assert own.pop("exec-train") == 0
    assert set(own.values()) == {60}
    assert 0 < Config().job.max_seconds < limits()["exec-train"]


def test_every_step_s_image_is_pulled_with_the_secrets_of_the_cluster():
    _, platform = compiled('cluster.pull_secrets=["one", "two"]')
    for executor in platform["deploymentSpec"]["executors"].values():
        assert [each["secretName"] for each in executor["imagePullSecret"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("overrides", "secret", "pull"),
    [
        (["cluster.secret=one", "job.store=s3://bucket/x"], "one", []),
        (["cluster.secret=one", "job.store=s3://bucket/x", "job.secret=two"], "two", []),
        (["cluster.secret=one", "job.store=gs://bucket/x"], "", []),
        (['cluster.pull_secrets=["three"]'], "", ["three"]),
        (['cluster.pull_secrets=["three"]', 'job.pull_secrets=["four"]'], "", ["four"]),
    ],
)
def test_a_job_s_workers_have_the_secrets_of_the_steps_unless_told_otherwise(overrides, secret, pull):
    job = json.loads(parameters(Config.load(None, overrides))["job"])
    assert (job["secret"], job["pull_secrets"]) == (secret, pull)


@pytest.mark.parametrize(
    ("overrides", "key"), [(["job.claim=disk"], "job.claim"), ([], "job.store")], ids=["a claim", "nothing"]
)
def test_what_no_cluster_can_run_is_refused_before_it_is_written(tmp_path, overrides, key):
    config = Config.load(None, ["cluster.launcher=kubernetes", *overrides])
    with pytest.raises(UserError) as caught:
        write_pipeline(config, tmp_path / "pipeline.yaml")
    assert key in caught.value.message
    assert "job.store" in caught.value.remedy
    assert not list(tmp_path.iterdir())
    write_pipeline(Config.load(None, ["cluster.launcher=kubernetes", "job.store=gs://bucket/x"]), tmp_path / "p.yaml")


def test_every_step_that_reaches_stores_has_the_secret_and_only_notify_the_webhook():
    _, platform = compiled(
        "cluster.secret=stores", "cluster.webhook_secret=hook", "cluster.claim=data", "cluster.mount=/data"
    )
    for name, executor in platform["deploymentSpec"]["executors"].items():
        keys = {
            (each["secretName"], pair["envVar"], each.get("optional", False))
            for each in executor["secretAsEnv"]
            for pair in each["keyToEnv"]
        }
        if name == "exec-notify":
            assert keys == {("hook", WEBHOOK_VARIABLE, False)}
            assert "pvcMount" not in executor
        else:
            assert ("stores", "AWS_SECRET_ACCESS_KEY", False) in keys
            assert ("stores", "AWS_ENDPOINT_URL_S3", True) in keys
            assert not any(WEBHOOK_VARIABLE in pair for pair in keys)
            assert [mount["mountPath"] for mount in executor["pvcMount"]] == ["/data"]


def test_tries_and_times_are_those_of_the_cluster():
    spec, platform = compiled("cluster.retries=2", "cluster.max_seconds=0", "cluster.keep_seconds=60")
    found = [task for graph in GRAPHS for name, task in tasks(spec, graph).items() if name in IMAGES]
    assert {task["retryPolicy"]["maxRetryCount"] for task in found} == {2}
    limits = platform["pipelineConfig"]
    # Kubeflow's own settings for successes and failures would go before a limit for both.
    assert limits == dict.fromkeys(("resourceTtlOnCompletion", "resourceTtlOnSuccess", "resourceTtlOnFailure"), 60)
    spec, platform = compiled()
    assert not any("retryPolicy" in task for graph in GRAPHS for task in tasks(spec, graph).values())
    assert platform["pipelineConfig"]["activeDeadlineSeconds"] == Config().cluster.max_seconds
