"""What training costs, by arithmetic alone."""

from hopline.config.model import ModelConfig


def useful_operations(model: ModelConfig, vocabulary: int) -> int:
    """Floating-point operations that a target needs, forward and backward: 3 (K (6 d M + 2 d^2) + 2 d V).

    A multiplication and an addition count two.  The memory is counted as the equations have it: scores, reading and
    the time embeddings' addition, 2 d M each; what the band computes beyond that is not useful.  With tables of
    width F the output takes 2 F (V + d) instead of 2 d V.

    Args:
        model: its shape.
        vocabulary: V, with the padding.
    """
    width = model.width
    output = 2 * model.factor * (vocabulary + width) if model.factor else 2 * width * vocabulary
    return 3 * (model.hops * (6 * width * model.memory + 2 * width**2) + output)
