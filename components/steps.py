"""The one table of the pipeline's steps.  Every other list of steps is derived from it, or held to it by a test."""

from dataclasses import dataclass

from components.images import CONTROL, PREPROCESS, TRAIN


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the pipeline.

    Attributes:
        name: of its package, its task in Kubeflow and its program.
        image: in which it runs.
        artifact: the name of the output that is its directory; "" for a step that leaves none.
        kept: whether the folder of a local run keeps that directory.
        record: the record that its log carries for whoever follows the run (`hopline.runtime.records`); "" for none
            but a failure's.
    """

    name: str
    image: str
    artifact: str = ""
    kept: bool = False
    record: str = ""


STEPS = (
    Step(name="resolve", image=CONTROL, artifact="resolution", record="resolution"),
    Step(name="preprocess", image=PREPROCESS, artifact="examples", kept=True),
    Step(name="train", image=TRAIN, artifact="model", kept=True),
    Step(name="evaluate", image=TRAIN, artifact="evaluation", kept=True, record="evaluation"),
    Step(name="promote", image=CONTROL, artifact="promotion", record="promotion"),
    Step(name="notify", image=CONTROL),  # on a cluster alone, however the run ends
)

IMAGES = {step.name: step.image for step in STEPS}
ARTIFACTS = {step.name: step.artifact for step in STEPS if step.artifact}


def image_of(step: str, prefix: str, tag: str) -> str:
    """The image of `step` in a registry of one's own: `prefix` before its name, `tag` in the version's place."""
    return f"{prefix}{IMAGES[step].partition(':')[0]}:{tag}"
