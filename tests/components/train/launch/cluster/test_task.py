"""What is set on the Kubeflow task reaches the workers."""

import copy
import json

import pytest

from components.train.launch.cluster.manifests import build
from components.train.launch.cluster.task import TaskConfig
from hopline.config.job import JobConfig
from hopline.runtime.errors import UserError
from tests.components.train.launch.cluster.conftest import ARGUMENTS
from tests.components.train.launch.cluster.rules import check, check_restricted
from tests.components.train.test_component import FROM_DRIVER, task_config_of

NOTHING = {"limits": {}, "requests": {}}


def job_of(task, training="gs://bucket/training", **settings):
    return build(
        JobConfig.from_mapping(settings), training, ARGUMENTS, 2, 3, TaskConfig.from_json(json.dumps(task))
    ).job


def pod_of(task, **settings):
    return job_of(task, **settings)["spec"]["template"]["spec"]


def test_all_that_the_driver_gives_makes_a_job_that_satisfies_schemas_and_rules():
    job = job_of(task_config_of(FROM_DRIVER), memory="8Gi", accelerators=2)
    check(job)
    pod = job["spec"]["template"]["spec"]
    check_restricted(pod)
    (container,) = pod["containers"]
    assert container["resources"] == {
        "limits": {"cpu": "2500m", "memory": "100Mi", "nvidia.com/gpu": "1", "ephemeral-storage": "4Gi"},
        "requests": {"cpu": "500m", "memory": "100Mi", "nvidia.com/gpu": "1", "ephemeral-storage": "4Gi"},
    }
    assert pod["nodeSelector"] == {"disktype": "ssd"}
    assert pod["tolerations"] == FROM_DRIVER["tolerations"]
    assert pod["affinity"] == FROM_DRIVER["affinity"]
    assert {"name": "ENV1", "value": "val1"} in container["env"]
    assert FROM_DRIVER["env"][1] in container["env"]
    (volume,) = [v for v in pod["volumes"] if v.get("persistentVolumeClaim") == {"claimName": "corpora"}]
    (mount,) = [mount for mount in container["volumeMounts"] if mount["name"] == volume["name"]]
    assert mount["mountPath"] == "/corpora"


def test_the_task_changes_nothing_where_kubeflow_says_nothing():
    settings = {"accelerators": 1, "node_selector": ("a=b",), "tolerations": ("k:NoSchedule",)}
    alone = build(JobConfig(**settings), "gs://bucket/training", ARGUMENTS, 2, 3).job
    empty = {name: None for name in FROM_DRIVER if name not in {"nodeSelector", "volumeMounts"}}
    assert job_of({**empty, "resources": NOTHING}, **settings) == job_of({}, **settings) == alone


@pytest.mark.parametrize(
    ("given", "limit", "request_"),
    [
        ({"limits": {"cpu": "3"}}, "3", "3"),
        ({"requests": {"cpu": "3"}}, "3", "3"),
        ({"limits": {"cpu": "4"}, "requests": {"cpu": "1500m"}}, "4", "1500m"),
        (NOTHING, "2", "2"),
    ],
    ids=["limit alone", "request alone", "both", "neither"],
)
def test_an_amount_of_the_task_goes_before_that_of_the_job(given, limit, request_):
    (container,) = pod_of({"resources": given}, cpus=2)["containers"]
    assert container["resources"]["limits"]["cpu"] == limit
    assert container["resources"]["requests"]["cpu"] == request_
    assert container["resources"]["limits"]["memory"] == "4Gi"


@pytest.mark.parametrize(("cpu", "threads"), [("2500m", "2"), ("500m", "1"), ("8", "8"), ("1k", "1000")])
def test_a_worker_computes_with_the_cores_that_the_task_gives_it(cpu, threads):
    (container,) = pod_of({"resources": {"limits": {"cpu": cpu}}})["containers"]
    assert container["args"][container["args"].index("--threads") + 1] == threads


def test_gpus_of_the_task_are_promised_to_the_worker_and_share_memory():
    (container,) = pod_of({"resources": {"limits": {"amd.com/gpu": "4"}}})["containers"]
    assert container["args"][container["args"].index("--accelerators") + 1] == "4"
    assert "/dev/shm" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_labels_and_tolerations_of_task_and_job_add_up_and_the_tasks_label_wins():
    task = {"node_selector": {"a": "task", "b": "task"}, "tolerations": [{"key": "t", "operator": "Exists"}]}
    pod = pod_of(task, node_selector=("a=job", "c=job"), tolerations=("j:NoSchedule",))
    assert pod["nodeSelector"] == {"a": "task", "b": "task", "c": "job"}
    assert [toleration["key"] for toleration in pod["tolerations"]] == ["j", "t"]


def claimed(path, claim):
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    return {"volumes": [volume], "volume_mounts": [{"name": "data", "mountPath": path}]}


def test_the_claim_by_which_the_launcher_sees_the_training_folder_is_mounted_once(tmp_path):
    job = job_of(claimed("/data", "hopline"), training=tmp_path, claim="hopline")
    assert job["spec"] == job_of({}, training=tmp_path, claim="hopline")["spec"]


@pytest.mark.parametrize(("path", "claim"), [("/data", "another"), ("/tmp", "hopline")])
def test_a_volume_in_the_place_of_one_of_ours_is_refused(tmp_path, path, claim):
    with pytest.raises(UserError) as caught:
        job_of(claimed(path, claim), training=tmp_path, claim="hopline")
    assert path in caught.value.message


def test_a_volume_with_the_name_of_one_of_ours_gets_another_name():
    pod = pod_of(claimed("/elsewhere", "mine") | {"affinity": {}})
    names = [volume["name"] for volume in pod["volumes"]]
    assert len(names) == len(set(names))
    check(job_of(claimed("/elsewhere", "mine")))


def test_a_variable_that_the_launcher_sets_cannot_be_changed():
    with pytest.raises(UserError) as caught:
        job_of({"env": [{"name": "HOPLINE_CLUSTER", "value": "elsewhere"}]})
    assert "HOPLINE_CLUSTER" in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    ["", "[]", '"text"', {"unknown": 1}, {"env": {}}, {"env": ["A=b"]}, {"node_selector": []}, {"affinity": "zone"},
     {"resources": {"limit": {}}}, {"resources": {"limits": 3}}, {"resources": {"limits": {"cpu": "many"}}}],
    ids=str,
)  # fmt: skip
def test_what_kubeflow_never_gives_is_refused(wrong):
    text = wrong if isinstance(wrong, str) else json.dumps(wrong)
    with pytest.raises(UserError) as caught:
        build(JobConfig(), "gs://bucket/training", ARGUMENTS, 2, 3, TaskConfig.from_json(text))
    assert caught.value.remedy


def test_what_was_given_is_left_as_it_was():
    task = TaskConfig.from_json(json.dumps(task_config_of(FROM_DRIVER)))
    before = copy.deepcopy(task)
    build(JobConfig(), "gs://bucket/training", ARGUMENTS, 2, 3, task)
    assert task == before
