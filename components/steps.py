"""The one table of the pipeline's steps.  Every other list of steps is derived from it, or held to it by a test."""

from dataclasses import dataclass

from components.images import CONTROL, PREPROCESS, TRAIN


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the pipeline.

    Attributes:
        name: of its package, its task in Kubeflow and its program.
        image: in which it runs.
        reads: what it is given, in words.
        writes: what it leaves, in words; the folder first.
        artifact: the name of the output that is its directory; "" for a step that leaves none.
        kept: whether the folder of a local run keeps that directory.
        record: the record in its log for commands that follow the run (`hopline.runtime.records`); "" for none
            but a failure's.
    """

    name: str
    image: str
    reads: str
    writes: str
    artifact: str = ""
    kept: bool = False
    record: str = ""


STEPS = (
    Step(
        name="resolve",
        image=CONTROL,
        artifact="resolution",
        record="resolution",
        reads="corpus, registry",
        writes="corpus fingerprint, the champion's id, `train` or `skip`; never cached",
    ),
    Step(
        name="preprocess",
        image=PREPROCESS,
        artifact="examples",
        kept=True,
        reads="corpus; the champion's vocabulary if so configured",
        writes="`examples/`: vocabulary, transform graph, token shards, held-out raw text, statistics",
    ),
    Step(
        name="train",
        image=TRAIN,
        artifact="model",
        kept=True,
        reads="examples; the champion's weights if so configured",
        writes="`model/`: weights, vocabulary, SavedModel that takes raw text, configuration, log, pictures",
    ),
    Step(
        name="evaluate",
        image=TRAIN,
        artifact="evaluation",
        kept=True,
        record="evaluation",
        reads="examples, model, registry",
        writes="`evaluation/`: metrics, decision with reasons, report",
    ),
    Step(
        name="promote",
        image=CONTROL,
        artifact="promotion",
        record="promotion",
        reads="model, evaluation, registry",
        writes="a version in the registry, then `champion.json`",
    ),
    Step(
        name="notify",
        image=CONTROL,
        reads="how a run on a cluster ended, whichever way it did",
        writes="nothing; tells a webhook of a failure",
    ),
)

IMAGES = {step.name: step.image for step in STEPS}
ARTIFACTS = {step.name: step.artifact for step in STEPS if step.artifact}


def image_of(step: str, prefix: str, tag: str) -> str:
    """The image of `step` in a registry of one's own: `prefix` before its name, `tag` in the version's place."""
    return f"{prefix}{IMAGES[step].partition(':')[0]}:{tag}"
