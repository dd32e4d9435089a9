"""What runs left: those of this machine in their folders, those of a cluster in their parameters and logs."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopline.artifacts import read_manifest
from hopline.runtime.errors import UserError
from hopline.runtime.process import FAILURE_FILE
from hopline.runtime.records import read_records
from pipelines.output import RUNS, Output
from pipelines.run import CONFIG
from pipelines.versions import flat

if TYPE_CHECKING:
    from pipelines.kubeflow.client import Client

_NAMED = 5  # runs that an error names
_KUBEFLOW_ID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


@dataclass(frozen=True)
class RunRecord:
    """What a run left.

    Attributes:
        name: its id.
        config: its configuration, by section.key.
        model: facts of the model's manifest; empty if none was made.
        evaluation: facts of the evaluation's manifest; empty if there is none.
        content: of evaluation.json; empty if there is none.
        steps: the training log's records of steps.
        validations: the training log's records of validations.
        state: "failed", "running" or "" for a run that came to its end.
    """

    name: str
    config: Mapping[str, Any]
    model: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    content: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    validations: Sequence[Mapping[str, Any]]
    state: str


def find_run(output: Output, name: str) -> Path:
    """The folder of the run `name`: a folder, an id below the output, or the beginning of one id.

    Raises:
        UserError: there is no such run, or several begin so.
    """
    runs = output.folder / RUNS
    for folder in (Path(name), runs / name):
        if (folder / CONFIG).is_file():
            return folder
    ids = sorted((path.parent.name for path in runs.glob(f"*/{CONFIG}")), reverse=True)
    found = [run for run in ids if run.startswith(name)]
    if len(found) == 1:
        return runs / found[0]
    newest = f"; the newest: {', '.join(ids[:_NAMED])}" if ids else ""
    raise UserError(
        f'"{name}" is {"the beginning of several runs" if found else "no run"} in {runs}',
        remedy=f"name a run's folder, or the id of one in --output{newest}",
    )


def read_run(folder: Path) -> RunRecord:
    """What the run in `folder` left; one that failed or was skipped left less.

    Raises:
        UserError: a file of it is damaged.
    """
    model, evaluation = folder / "model", folder / "evaluation"
    try:
        config = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
        log = model / "log.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
        records = [json.loads(line) for line in lines]
        numbers = evaluation / "evaluation.json"
        content = json.loads(numbers.read_text(encoding="utf-8")) if numbers.is_file() else {}
    except ValueError as error:
        raise UserError(f"the run in {folder} is damaged: {error}", remedy="leave it out, or run it again") from error
    return RunRecord(
        name=folder.resolve().name,
        config=flat(config),
        model=read_manifest(model, "model").facts if model.exists() else {},
        evaluation=read_manifest(evaluation, "evaluation").facts if evaluation.exists() else {},
        content=content,
        steps=[record for record in records if "loss" in record],
        validations=[record for record in records if "valid_loss" in record],
        state="failed" if (folder / FAILURE_FILE).exists() else "",
    )


def is_kubeflow_id(name: str) -> bool:
    """Whether `name` is the id of a run on a Kubeflow server; no run of this machine is called so."""
    return _KUBEFLOW_ID.fullmatch(name) is not None


def read_kubeflow_run(client: "Client", identity: str) -> RunRecord:
    """What the run with this id left; one whose evaluation was cached, or whose log is gone, left its configuration.

    Raises:
        UserError: there is no such run.
    """
    from pipelines.kubeflow.logs import step_log

    run = client.run(identity)
    sections = {name: _section(value) for name, value in run.parameters.items()}
    evaluation = read_records(step_log(client, run, "evaluate")).get("evaluation", {})
    found = evaluation.pop("comparison", {})
    content = {"challenger": {"perplexity": evaluation.get("challenger_perplexity")}, **found.get("content", {})}
    return RunRecord(
        name=identity,
        config=flat({name: section for name, section in sections.items() if section}),
        model=found.get("model", {}),
        evaluation=evaluation,
        content=content,
        steps=found.get("steps", []),
        validations=found.get("validations", []),
        state="running" if not run.ended else "" if run.state == "SUCCEEDED" else "failed",
    )


def _section(value: Any) -> dict[str, Any]:
    """A section of the configuration as a run's parameter holds it; {} for a parameter that is none."""
    try:
        found = json.loads(value)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
