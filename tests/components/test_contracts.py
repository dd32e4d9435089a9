"""What a step declares to Kubeflow and what its program takes are the same."""

import importlib

import pytest

from components.preprocess.overlap import LENGTHS
from components.steps import ARTIFACTS, IMAGES
from hopline.schema import TOKENISERS
from pipelines.estimate import BYTES_PER_TOKEN

STEPS = tuple(ARTIFACTS)  # notify leaves nothing: tests/components/notify


def declaration(step):
    return getattr(importlib.import_module(f"components.{step}.component"), step)


def program_arguments(step):
    actions = importlib.import_module(f"components.{step}.__main__").arguments()._actions
    return {action.dest: action for action in actions if action.dest != "help"}


@pytest.mark.parametrize("step", STEPS)
def test_a_declaration_takes_what_its_program_takes(step):
    inputs = declaration(step).component_spec.inputs
    places = {f"{name}_uri" for name in inputs} & program_arguments(step).keys()  # where else an input lies
    assert {*inputs, *places, "output"} == program_arguments(step).keys()


@pytest.mark.parametrize("step", STEPS)
def test_a_step_leaves_one_artifact_of_its_kind(step):
    outputs = declaration(step).component_spec.outputs
    artifacts = {name for name, output in outputs.items() if output.type.startswith("system.")} - {"metrics"}
    assert artifacts == {ARTIFACTS[step]}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_runs_in_its_image_and_installs_nothing(step):
    container = declaration(step).component_spec.implementation.container
    assert container.image == IMAGES[step]
    assert "pip install" not in " ".join(container.command)


def test_an_image_never_has_a_moving_tag():
    for image in IMAGES.values():
        assert image.partition(":")[2] not in {"", "latest"}


def test_what_is_said_of_tokenisers_is_said_of_each():
    assert LENGTHS.keys() == BYTES_PER_TOKEN.keys() == set(TOKENISERS)
