r"""hopline: the tied end-to-end memory network and the contracts between the steps of its pipeline.

import hopline

model = hopline.load("hopline-output")
model.perplexity("the for statement is used to iterate\n")
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hopline.use.model import Model


def load(place: str | Path, version: int | None = None) -> "Model":
    """The model at a place, ready to score and to generate.  Needs TensorFlow, which is imported now.

    Args:
        place: an output folder of `hopline run`, a registry or a model folder; or the gs:// or s3:// URI of an output
            or a registry, whose model is copied to the user's cache.
        version: of the registry; None for the champion.

    Raises:
        UserError: there is no such model, or it is damaged, or a newer hopline wrote it.
    """
    from hopline.use.locate import locate  # noqa: PLC0415  with the library alone nothing of this is loaded
    from hopline.use.model import Model  # noqa: PLC0415

    return Model(locate(place, version))
