"""The pipeline as YAML, for any Kubeflow Pipelines 2 server."""

import tempfile
from pathlib import Path

from kfp import compiler

from hopline.runtime.errors import UserError
from hopline.store.folders import write_text
from pipelines.config.config import Config
from pipelines.config.workers import require_runnable
from pipelines.pipeline import parameters, training_pipeline


def pipeline_yaml(config: Config) -> str:
    """The compiled pipeline, set up as [cluster] says, whose parameters default to `config`."""
    places = {"launcher": config.cluster.launcher}
    if config.cluster.registry:
        places["registry"] = config.cluster.registry
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        pipeline = training_pipeline(config.cluster)
        compiler.Compiler().compile(pipeline, str(path), pipeline_parameters={**parameters(config), **places})
        return path.read_text(encoding="utf-8")


def write_pipeline(config: Config, path: Path) -> None:
    """Writes `pipeline_yaml` to `path`, whole or not at all.

    Raises:
        UserError: `path` cannot be written, or no run of the pipeline could come to its end.
    """
    require_runnable(config)
    text = pipeline_yaml(config)
    try:
        write_text(path.absolute(), text)
    except OSError as error:
        raise UserError(
            f"--output {path} cannot be written: {error.strerror}", remedy="name a file in a folder that exists"
        ) from error
