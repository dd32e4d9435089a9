"""The compiled graph.

After an intended change renew the golden file and read its diff:

    hopline compile --output tests/golden/pipeline.yaml
"""

from pathlib import Path

import pytest
import yaml

from hopline.config import Config
from hopline.images import BY_STEP
from pipelines.compiled import pipeline_yaml
from pipelines.pipeline import parameters

GOLDEN = Path(__file__).parents[1] / "golden" / "pipeline.yaml"


@pytest.fixture(scope="module")
def spec():
    return yaml.safe_load(pipeline_yaml(Config()))


def tasks(spec, component):
    """The tasks of a component that is a graph; "" is the root."""
    return (spec["components"][component] if component else spec["root"])["dag"]["tasks"]


def test_the_compiled_pipeline_is_the_golden_one(spec):
    assert spec == yaml.safe_load(GOLDEN.read_text(encoding="utf-8"))


def test_training_and_promotion_each_hang_on_one_word(spec):
    assert tasks(spec, "").keys() == {"resolve", "condition-1"}
    assert tasks(spec, "comp-condition-1").keys() == {"preprocess", "train", "evaluate", "condition-2"}
    assert tasks(spec, "comp-condition-2").keys() == {"promote"}
    conditions = [
        tasks(spec, "")["condition-1"]["triggerPolicy"]["condition"],
        tasks(spec, "comp-condition-1")["condition-2"]["triggerPolicy"]["condition"],
    ]
    assert conditions == [
        "inputs.parameter_values['pipelinechannel--resolve-Output'] == 'train'",
        "inputs.parameter_values['pipelinechannel--evaluate-Output'] == 'promote'",
    ]


def test_only_steps_whose_arguments_say_all_are_cached(spec):
    found = {}
    for graph in ("", "comp-condition-1", "comp-condition-2"):
        for name, task in tasks(spec, graph).items():
            if name in BY_STEP:
                found[name] = task["cachingOptions"].get("enableCache", False)
    assert found == {"resolve": False, "preprocess": True, "train": True, "evaluate": False, "promote": False}


def test_every_section_of_the_configuration_is_a_parameter(spec):
    config = Config()
    defaults = {
        name: parameter.get("defaultValue")
        for name, parameter in spec["root"]["inputDefinitions"]["parameters"].items()
    }
    others = {"registry": None, "work_dir": "/tmp/hopline", "launcher": "local"}
    assert defaults == {**parameters(config), **others}
    assert parameters(config).keys() == config.to_dict().keys()
