"""Small networks of every form, and their weights as the reference takes them."""

import keras
import numpy as np
import tensorflow as tf

from hopline.model.network import MemoryNetwork
from hopline.model.scoring import window_nll
from hopline.schema import PAD
from tests.reference.memn2n import sinusoids

V, E, K, M, T = 23, 12, 3, 6, 5

# Every option of a hop alone, then together.
OPTIONS = {
    "heads": {"heads": 3},
    "norm": {"norm": True},
    "norm, factor": {"norm": True, "tie": "output", "factor": 4},
    "gate": {"state_map": "gate"},
    "gate, norm": {"state_map": "gate", "norm": True},
    "mlp": {"state_map": "mlp"},
    "mlp, norm": {"state_map": "mlp", "map_width": 7, "norm": True},
    "learned query": {"query": "learned"},
    "one word asks": {"query": "words", "query_words": 1},
    "four words ask": {"query": "words", "query_words": 4, "tie": "input", "factor": 5},
    "projections": {"tie": "all", "projections": True},
    "projections, factor": {"tie": "all", "projections": True, "factor": 5},
    "two-word slots": {"slot_words": 2},
    "four-word slots": {"slot_words": 4, "tie": "all"},
    "sinusoidal time": {"time": "sinusoidal"},
    "sinusoidal time, norm": {"time": "sinusoidal", "heads": 2, "norm": True, "slot_words": 2, "query": "learned"},
    "no time": {"time": "none", "tie": "output"},
    "no time, heads": {"time": "none", "heads": 3},
    "all": {
        "tie": "all", "bias": True, "heads": 4, "norm": True, "state_map": "mlp", "query": "words", "query_words": 3,
        "projections": True, "slot_words": 3,
    },
}  # fmt: skip


def make_model(seed=5, **options):
    """A network whose weights are all random: also those that start at one number, such as gains and biases."""
    keras.utils.set_random_seed(seed)
    model = MemoryNetwork(
        vocabulary_size=V, width=E, hops=K, memory=M, init_stddev=options.pop("init_stddev", 0.6), **options
    )
    model.build((None, M + T - 1))
    random = np.random.Generator(np.random.Philox(seed))
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(variable + random.normal(size=variable.shape, scale=0.5))
    return model


def some_tokens(batch=4, padding=0.2, length=M + T - 1):
    """Random tokens, a fifth of them padding."""
    random = np.random.Generator(np.random.Philox(1))
    tokens = random.integers(1, V, size=(batch, length)).astype("int32")
    return np.where(random.random(tokens.shape) < padding, PAD, tokens)


def parameters(model, moved=()):
    """The weights as `tests.reference.memn2n` takes them, float64.

    Args:
        model: the network.
        moved: pairs of a variable and what to add to it.
    """

    def as_float64(variable):
        value = keras.ops.convert_to_numpy(variable).astype("float64")
        return value + sum(change for other, change in moved if other is variable)

    weights = {
        "A": model.key_table_VF, "C": model.value_table_VF, "W": model.logit_table_VF, "P": model.projection_FE,
        "P_O": model.output_projection_EF, "b": model.logit_bias_V, "T_A": model.hop.key_time_ME,
        "T_C": model.hop.value_time_ME,
    }  # fmt: skip
    if model.key_slots is not None:
        weights |= {"f_K": model.key_slots.filter_NX, "f_V": model.value_slots.filter_NX}
        weights |= {"P_K": model.key_slots.projection_XE, "P_V": model.value_slots.projection_XE}
    if model.time != "learned":
        known = sinusoids(model.slots, E) if model.time == "sinusoidal" else np.zeros((model.slots, E))
        weights["T_A"] = weights["T_C"] = known if model.norm else model.init_stddev * known
    state_map = getattr(model.hop, "map", None)
    if state_map is None:
        weights["H"] = model.hop.state_map_EE
    else:
        names = {"H": "map_EE", "G": "gate_EE", "cg": "gate_bias_E", "W1": "in_ER", "c1": "in_bias_R", "W2": "out_RE"}
        names["c2"] = "out_bias_E"
        weights |= {name: getattr(state_map, attribute, None) for name, attribute in names.items()}
    found = {name: None if weight is None else as_float64(weight) for name, weight in weights.items()}
    if model.question is not None:
        found["q"] = as_float64(model.question.learned_E)
        if model.question.word_maps_XE is not None:
            found["Q"] = np.split(as_float64(model.question.word_maps_XE), model.query_words)
    if model.norm:
        norms = [model.hop.ask_norm, model.hop.last_norm, state_map.layer_norm]
        *found["norms"], found["map_norm"] = [
            norm and (as_float64(norm.gain_E), as_float64(norm.shift_E)) for norm in norms
        ]
        found["scale"] = 1 / model.init_stddev
    return {**found, "hops": model.hops, "heads": model.heads}


def train(model, steps=3):
    """A few steps of plain gradient descent."""
    optimizer = keras.optimizers.SGD(0.5)
    windows = some_tokens(length=M + T)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(window_nll(model, tf.constant(windows)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
