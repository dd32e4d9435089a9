"""The graph: resolve; if there is something to train: preprocess, train, evaluate; if it is better: promote.

One definition runs in every place.  Conditions compare words that a step decided in Python: Kubeflow's
local runner takes any comparison it cannot evaluate (NaN, infinity, a quote in a string) for false.  So it
does with an output that has a name of its own: what is compared must be the step's return value, "Output".
"""

import dataclasses

from kfp import dsl

from components.evaluate.component import evaluate as evaluate_step
from components.preprocess.component import preprocess as preprocess_step
from components.promote.component import promote as promote_step
from components.resolve.component import resolve as resolve_step
from components.train.component import train as train_step
from hopline.config import Config

_DEFAULTS = Config()


def parameters(config: Config) -> dict[str, str]:
    """The parameters of the pipeline that hold `config`: each section as canonical JSON, by the section's name."""
    return {section.name: getattr(config, section.name).to_json() for section in dataclasses.fields(config)}


@dsl.pipeline(name="hopline", description="From raw text to a champion: a memory-network language model")
def training_pipeline(
    registry: str,
    corpus: str = _DEFAULTS.corpus.to_json(),
    resolve: str = _DEFAULTS.resolve.to_json(),
    preprocess: str = _DEFAULTS.preprocess.to_json(),
    model: str = _DEFAULTS.model.to_json(),
    train: str = _DEFAULTS.train.to_json(),
    evaluate: str = _DEFAULTS.evaluate.to_json(),
    job: str = _DEFAULTS.job.to_json(),
    work_dir: str = "/tmp/hopline",  # noqa: S108  in a pod this is a folder of that pod alone
    launcher: str = "local",
) -> None:
    """Trains a challenger and makes it the champion if it is better.

    Args:
        registry: folder of the registry that every step can reach.
        corpus: this and the parameters below: a configuration section as JSON.
        resolve: see `corpus`.
        preprocess: see `corpus`.
        model: see `corpus`.
        train: see `corpus`.
        evaluate: see `corpus`.
        job: see `corpus`.
        work_dir: folder for work in progress and results that a killed step finds again.
        launcher: what starts the training workers: local or kubernetes.
    """
    resolved = resolve_step(corpus_config=corpus, resolve_config=resolve, registry=registry, work_dir=work_dir)
    resolved.set_caching_options(False)  # the corpus and the registry change behind equal arguments
    with dsl.If(resolved.outputs["Output"] == "train", name="something-to-train"):
        prepared = preprocess_step(
            corpus_config=corpus,
            preprocess_config=preprocess,
            fingerprint=resolved.outputs["fingerprint"],
            work_dir=work_dir,
        )
        trained = train_step(
            examples=prepared.outputs["examples"],
            model_config=model,
            train_config=train,
            launcher=launcher,
            job=job,
            work_dir=work_dir,
        )
        evaluated = evaluate_step(
            examples=prepared.outputs["examples"],
            model=trained.outputs["model"],
            evaluate_config=evaluate,
            registry=registry,
            champion=resolved.outputs["champion"],
            work_dir=work_dir,
        )
        evaluated.set_caching_options(False)  # a registry's content is no argument either
        with dsl.If(evaluated.outputs["Output"] == "promote", name="challenger-is-better"):
            promoted = promote_step(
                model=trained.outputs["model"],
                evaluation=evaluated.outputs["evaluation"],
                registry=registry,
                work_dir=work_dir,
            )
            promoted.set_caching_options(False)
