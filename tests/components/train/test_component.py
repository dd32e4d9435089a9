"""The train task as Kubeflow runs it: kfp's own executor calls the declaration."""

import json
import tempfile
from pathlib import Path

import pytest
from kfp.dsl.executor import Executor

from components.train.component import train
from hopline.runtime import process

# As the driver of Kubeflow Pipelines 2.17.0 fills it (backend/src/v2/driver/driver.go: TaskConfig), for a task with
# everything that kfp and kfp-kubernetes can set; the fields are those of backend/test .. task_config.py, with a secret.
FROM_DRIVER = {
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "disktype", "operator": "In", "values": ["ssd"]}]},
                ]
            }
        }
    },
    "tolerations": [{"key": "example-key", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600}],
    "nodeSelector": {"disktype": "ssd"},
    "env": [
        {"name": "ENV1", "value": "val1"},
        {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "store", "key": "id", "optional": False}}},
    ],
    "volumes": [{"name": "corpora", "persistentVolumeClaim": {"claimName": "corpora"}}],
    "volumeMounts": [{"name": "corpora", "mountPath": "/corpora"}],
    "resources": {
        "limits": {"cpu": "2500m", "memory": "100Mi", "nvidia.com/gpu": "1"},
        "requests": {"cpu": "500m", "memory": "100Mi"},
    },
}
EMPTY = dict.fromkeys(FROM_DRIVER) | {"resources": {}}


def arguments_of(monkeypatch, folder, **parameters):
    """What the step's program is started with when kfp's executor is given these parameters."""
    found = {}
    monkeypatch.setattr(process, "run_step", lambda module, arguments, work: found.update(arguments, module=module))
    texts = dict.fromkeys(["model_config", "train_config", "launcher", "job"], "{}")
    values = {
        **texts,
        "registry": "s3://bucket/registry",
        "start_from": "",
        "pretrained": "",
        "work_dir": str(folder),
        **parameters,
    }
    artifact = {"name": "examples", "type": {"schemaTitle": "system.Dataset"}, "uri": "s3://bucket/root/examples"}
    model = {"name": "model", "type": {"schemaTitle": "system.Model"}, "uri": str(folder / "model")}
    given = {
        "inputs": {"parameterValues": values, "artifacts": {"examples": {"artifacts": [artifact]}}},
        "outputs": {"artifacts": {"model": {"artifacts": [model]}}, "outputFile": str(folder / "output.json")},
    }
    Executor(executor_input=given, function_to_execute=train.python_func).execute()
    return found


def task_config_of(value):
    """What the step's program is told of the task for which the driver makes `value`."""
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        return json.loads(arguments_of(monkeypatch, Path(folder), task_config=value)["task_config"])


def test_the_program_is_told_where_kubeflow_keeps_the_examples(monkeypatch, tmp_path):
    found = arguments_of(monkeypatch, tmp_path)
    assert found["examples_uri"] == "s3://bucket/root/examples"
    assert found["module"] == "components.train"


def test_the_program_is_told_all_that_the_driver_says():
    found = task_config_of(FROM_DRIVER)
    assert found.pop("node_selector") == FROM_DRIVER["nodeSelector"]
    assert found.pop("volume_mounts") == FROM_DRIVER["volumeMounts"]
    assert found == {name: FROM_DRIVER[name] for name in found}


def test_without_kubeflow_there_is_nothing_to_say(monkeypatch, tmp_path):
    assert set(json.loads(arguments_of(monkeypatch, tmp_path)["task_config"]).values()) == {None}
    assert not any(task_config_of(EMPTY).values())
