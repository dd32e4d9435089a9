"""A small trained-like model, exported and promoted, for tests that use one."""

from pathlib import Path

import keras
import numpy as np

from components.train.report.export import export
from hopline import artifacts, schema
from hopline.model.network import MemoryNetwork
from hopline.registry.registry import Registry
from tests.support import synthetic_documents, write_examples

MEMORY = 8
TARGETS = 16


def make_output(folder: Path, **options) -> MemoryNetwork:
    """Makes an output with one promoted model of random but pronounced weights; returns the network."""
    examples = folder / "examples"
    examples.mkdir(parents=True)
    splits = {"train": synthetic_documents(1, 12, 250), "test": synthetic_documents(3, 2, 120)}
    manifest = write_examples(examples, splits)
    size = manifest.facts["vocabulary_size"]
    keras.utils.set_random_seed(1)
    network = MemoryNetwork(
        vocabulary_size=size, width=16, hops=2, memory=MEMORY, bias=True, init_stddev=0.4, **options
    )
    network.build((None, MEMORY + TARGETS - 1))
    bias = np.zeros(size)
    bias[schema.PAD] = -20.0  # as training leaves it: it is never a target
    network.logit_bias_V.assign(bias)
    model = folder / "model"
    model.mkdir()
    export(network, examples / schema.TRANSFORM_FOLDER, TARGETS, model)
    (model / schema.VOCABULARY_FILE).write_text((examples / schema.VOCABULARY_FILE).read_text())
    facts = {**manifest.facts, "parameters": network.count_params()}
    artifacts.seal(model, schema.MODEL, parents={schema.EXAMPLES: manifest.id}, config={}, facts=facts)
    registry = Registry(folder / "registry")
    registry.promote(model, evaluation="one", perplexity=40.0, split="test", compared_with="")
    return network
