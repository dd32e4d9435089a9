"""The section [model]: what makes no sense is refused, and what a step costs."""

from pathlib import Path

import pytest

from hopline.config.cost import useful_operations
from hopline.config.model import ModelConfig
from hopline.runtime.errors import UserError

LEARNING = {
    "width": 12, "hops": 3, "memory": 10, "tie": "all", "heads": 4, "norm": True, "state_map": "mlp", "query": "words",
    "query_words": 2, "projections": True, "slot_words": 3,
}  # fmt: skip


@pytest.mark.parametrize(("values", "named"), [
    ({"width": 10, "heads": 4}, ["model.heads is 4", "model.width = 10", "a multiple of 4", "a divisor of 10"]),
    ({"query": "words"}, ["model.query_words is 0", "1, 2, 3 or 4"]),
    ({"query_words": 2}, ["model.query_words is 2", '"constant"', 'model.query to "words"']),
    ({"query": "words", "query_words": 4, "memory": 3}, ["model.query_words is 4", "model.memory = 3"]),
    ({"slot_words": 3, "memory": 2}, ["model.slot_words is 3", "model.memory = 2"]),
    ({"norm": True}, ["model.norm is true", '"constant"', 'model.query to "words"']),
    ({"map_width": 7}, ["model.map_width is 7", '"half_relu"', 'model.state_map to "mlp"']),
    ({"time": "rotary"}, ["model.time is", "sinusoidal", "set model.time"]),
    ({"projections": True, "tie": "output"}, ["model.projections is true", '"output"', 'model.tie to "all"']),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_with_value_rule_and_remedy(values, named):
    with pytest.raises(UserError) as caught:
        ModelConfig(**values)
    for part in named:
        assert part in f"{caught.value} {caught.value.remedy}"


def test_the_defaults_are_the_papers_form():
    assert ModelConfig().slots == 100
    config = ModelConfig(heads=1, norm=False, state_map="half_relu", query="constant", projections=False, slot_words=1)
    assert config == ModelConfig()


def test_the_papers_operations_are_counted_as_its_equations_have_them():
    assert useful_operations(ModelConfig(), 10_001) == 3 * (6 * (6 * 150 * 100 + 2 * 150**2) + 2 * 150 * 10_001)
    factored = ModelConfig(factor=50)
    assert useful_operations(factored, 10_001) == 3 * (6 * (6 * 150 * 100 + 2 * 150**2) + 2 * 50 * (10_001 + 150))


@pytest.mark.parametrize(("changed", "less"), [
    ({"slot_words": 1}, 2 * 2 * 3 * 12 - 3 * 6 * 12 * 2),  # the filters' operations, less those of two slots more
    ({"query_words": 1}, 2 * 12**2),
    ({"state_map": "gate"}, 3 * 4 * (12 * 24 - 12**2)),
    ({"state_map": "half_relu"}, 3 * (4 * 12 * 24 - 2 * 12**2)),
    ({"projections": False}, 3 * 2 * 12**2),
    ({"heads": 1}, 0),
    ({"time": "none"}, 3 * 2 * 12 * 8),
    ({"time": "sinusoidal"}, 0),
    ({"map_width": 10}, 3 * 4 * 12 * (24 - 10)),
])  # fmt: skip
def test_each_option_costs_what_its_equation_says(changed, less):
    whole = useful_operations(ModelConfig(**LEARNING), 50)
    assert whole - useful_operations(ModelConfig(**{**LEARNING, **changed}), 50) == 3 * less


def test_vectors_are_no_part_of_the_network_and_their_path_does_not_depend_on_where_a_step_runs():
    config = ModelConfig(pretrained="vectors/small.vec", factor=50)
    assert config.network() == ModelConfig(factor=50).network()
    assert config.absolute(Path("/base")).pretrained == "/base/vectors/small.vec"
    assert config.absolute(Path("/base")).absolute(Path("/other")).pretrained == "/base/vectors/small.vec"
    for same in ("", "gs://bucket/small.vec", "/abs/small.vec"):
        assert ModelConfig(pretrained=same).absolute(Path("/base")).pretrained == same
    assert (config.rows, ModelConfig().rows) == (50, 150)
