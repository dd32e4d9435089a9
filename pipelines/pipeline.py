"""The graph: resolve; if there is something to train: preprocess, train, evaluate; if it is better: promote.

One definition runs in every place.  Conditions compare words that a step decided in Python: Kubeflow's
local runner takes any comparison it cannot evaluate (NaN, infinity, a quote in a string) for false.  So it
does with an output that has a name of its own: what is compared must be the step's return value, "Output".
"""

import dataclasses
import functools
import inspect
from typing import Any

from kfp import dsl

from components.evaluate.component import evaluate as evaluate_step
from components.notify.component import notify as notify_step
from components.preprocess.component import preprocess as preprocess_step
from components.promote.component import promote as promote_step
from components.resolve.component import resolve as resolve_step
from components.train.component import train as train_step
from pipelines import settings
from pipelines.config.cluster import ClusterConfig
from pipelines.config.config import Config
from pipelines.config.workers import job_of

_DEFAULTS = Config()


def parameters(config: Config) -> dict[str, str]:
    """The parameters of the pipeline that hold `config`: each section as canonical JSON, by the section's name.

    [cluster] is none of them: it is compiled in.  Nor is [schedule]: when a run starts is nothing that a step knows.
    """
    names = [section.name for section in dataclasses.fields(config)]
    sections = [name for name in names if name not in (config.cluster.name, config.schedule.name)]
    config = dataclasses.replace(config, job=job_of(config))
    return {name: getattr(config, name).to_json() for name in sections}


def training_pipeline(cluster: ClusterConfig | None = None) -> Any:
    """The pipeline: for a cluster with its settings and a last step that tells of the end, without for this machine."""
    signature = inspect.signature(graph)

    def run(*values: Any) -> None:
        arguments = dict(zip(signature.parameters, values, strict=True))
        if cluster is None:
            graph(**arguments)
            return
        run_name, run_id = dsl.PIPELINE_JOB_NAME_PLACEHOLDER, dsl.PIPELINE_JOB_ID_PLACEHOLDER
        notified = notify_step(run_name=run_name, run_id=run_id, work_dir=arguments["work_dir"])
        notified.set_caching_options(False)
        with dsl.ExitHandler(notified, name="run"):
            tasks = graph(**arguments)
        settings.apply(cluster, {**tasks, "notify": notified})

    functools.update_wrapper(run, graph)
    run.__signature__ = signature.replace(return_annotation=None)  # type: ignore[attr-defined]
    pipeline = dsl.pipeline(
        run,
        name="hopline",
        description="From raw text to a champion: a memory-network language model",
        pipeline_config=settings.pipeline_config(cluster) if cluster else None,
    )
    if cluster and cluster.launcher == "kubernetes":
        settings.keep_resources(pipeline)
    return pipeline


def graph(
    registry: str,
    corpus: str = _DEFAULTS.corpus.to_json(),
    resolve: str = _DEFAULTS.resolve.to_json(),
    preprocess: str = _DEFAULTS.preprocess.to_json(),
    model: str = _DEFAULTS.model.to_json(),
    train: str = _DEFAULTS.train.to_json(),
    evaluate: str = _DEFAULTS.evaluate.to_json(),
    promote: str = _DEFAULTS.promote.to_json(),
    job: str = _DEFAULTS.job.to_json(),
    work_dir: str = "/tmp/hopline",  # noqa: S108  in a pod this is a folder of that pod alone
    launcher: str = "local",
) -> dict[str, dsl.PipelineTask]:
    """Trains a challenger and makes it the champion if it is better; the tasks by the names of their steps.

    Args:
        registry: path or URI of the registry, which every step can reach.
        corpus: this and the parameters below: a configuration section as JSON.
        resolve: see `corpus`.
        preprocess: see `corpus`.
        model: see `corpus`.
        train: see `corpus`.
        evaluate: see `corpus`.
        promote: see `corpus`.
        job: see `corpus`.
        work_dir: folder for work in progress and results that a killed step finds again.
        launcher: what starts the training workers: local or kubernetes.
    """
    resolved = resolve_step(
        corpus_config=corpus,
        resolve_config=resolve,
        preprocess_config=preprocess,
        train_config=train,
        model_config=model,
        registry=registry,
        work_dir=work_dir,
    )
    resolved.set_caching_options(False)  # the corpus and the registry change behind equal arguments
    with dsl.If(resolved.outputs["Output"] == "train", name="something-to-train"):
        prepared = preprocess_step(
            corpus_config=corpus,
            preprocess_config=preprocess,
            fingerprint=resolved.outputs["fingerprint"],
            registry=registry,
            vocabulary_from=resolved.outputs["vocabulary_from"],
            drift_from=resolved.outputs["drift_from"],
            work_dir=work_dir,
        )
        trained = train_step(
            examples=prepared.outputs["examples"],
            model_config=model,
            train_config=train,
            registry=registry,
            start_from=resolved.outputs["start_from"],
            pretrained=resolved.outputs["pretrained"],
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
                promote_config=promote,
                registry=registry,
                work_dir=work_dir,
            )
            promoted.set_caching_options(False)
    return {
        "resolve": resolved, "preprocess": prepared, "train": trained, "evaluate": evaluated, "promote": promoted,
    }  # fmt: skip
