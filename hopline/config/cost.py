"""What training costs, by arithmetic alone."""

from hopline.config.model import ModelConfig


def useful_operations(model: ModelConfig, vocabulary: int) -> int:
    """Floating-point operations that a target needs, forward and backward: 3 (K (6 d M + 2 d^2) + 2 d V).

    A multiplication and an addition count two.  The memory is counted as the equations have it: scores, reading and
    the time embeddings' addition, 2 d M each; what the band computes beyond that is not useful.  With tables of
    width F the output takes 2 F (V + d) instead of 2 d V.

    With options: n-gram slots leave M - n + 1 slots; the state map takes 4 d^2 with a gate and 4 d R with two layers
    instead of 2 d^2; without temporal encodings 4 d M are left of 6 d M.  What is made once of each token is counted
    once a target: filters, the projections to keys and values, and the question's m words, 2 X d a matrix.

    Args:
        model: its shape.
        vocabulary: V, with the padding.
    """
    width, rows = model.width, model.factor or model.width
    state_map = {"half_relu": 2 * width**2, "gate": 4 * width**2, "mlp": 4 * width * (model.map_width or 2 * width)}
    slots = (4 if model.time == "none" else 6) * width * model.slots
    hops = model.hops * (slots + state_map[model.state_map])
    embedded = rows if model.projections else width
    tokens = 2 * embedded * width * (2 * model.projections + model.query_words)
    tokens += 2 * 2 * embedded * model.slot_words * (model.slot_words > 1)
    output = 2 * rows * vocabulary + 2 * rows * width * (model.projections or model.factor > 0)
    return 3 * (hops + tokens + output)
