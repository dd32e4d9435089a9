"""Makes a blessed model champion: `python -m components.promote`.

The pipeline calls this only where the decision is "promote".  It checks again all the same, so that a wrong
orchestrator cannot promote: the evaluation must say so, of this very model, against the champion that stands.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hopline import artifacts
from hopline.artifacts import Manifest
from hopline.config.promote import PromoteConfig
from hopline.registry.card import describe
from hopline.registry.registry import Registry
from hopline.runtime import program
from hopline.runtime.errors import StaleBlessingError
from hopline.store import folders


def arguments() -> argparse.ArgumentParser:
    """What the program takes."""
    parser = program.parser("promote", "Makes a blessed model champion.")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--evaluation", type=Path, required=True, help="folder of its evaluation")
    parser.add_argument("--promote-config", default="{}", help="the [promote] section as JSON")
    parser.add_argument("--registry", required=True, help="of the promoted models: a path, or a gs:// or s3:// URI")
    parser.add_argument("--output", type=Path, required=True, help="folder to write the record of the promotion to")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, promotes, and returns the exit code."""
    return program.run("promote", arguments(), _promote, argv)


def _promote(options: argparse.Namespace) -> None:
    program.terminate_as_interrupt()
    model = artifacts.verify(options.model, "model")
    evaluation = artifacts.verify(options.evaluation, "evaluation")
    _require_blessing(options.evaluation, evaluation, model)
    named = PromoteConfig.from_json(options.promote_config)
    numbers = options.evaluation / "evaluation.json"
    content = json.loads(numbers.read_text(encoding="utf-8")) if numbers.is_file() else {}
    card = describe(model, evaluation, content, license_name=named.license, limits=named.limits)
    champion = Registry(options.registry).promote(
        options.model,
        evaluation=evaluation.id,
        perplexity=evaluation.facts["challenger_perplexity"],
        split=evaluation.facts["split"],
        compared_with=evaluation.parents.get("champion", ""),
        card=card,
    )
    with folders.whole(options.output) as folder:
        record = {"version": champion.version, "model_id": champion.model_id, "previous": champion.previous}
        folders.write_json(folder / "promotion.json", record)
        parents = {"model": model.id, "evaluation": evaluation.id}
        artifacts.seal(folder, "promotion", parents=parents, config=named.to_dict(), facts={**record, "card": card})
    print(f"promote: model {champion.model_id[:12]} is champion, version {champion.version}", file=sys.stderr)


def _require_blessing(folder: Path, evaluation: Manifest, model: Manifest) -> None:
    """Both places that state the decision must say "promote", and of this model.

    Raises:
        StaleBlessingError: they do not.
    """
    blessed = evaluation.parents.get("model", "")
    if blessed != model.id:
        raise StaleBlessingError(
            f"the evaluation is of model {blessed[:12]}, but model {model.id[:12]} is to be promoted",
            remedy="evaluate this model",
        )
    written = json.loads((folder / "decision.json").read_text(encoding="utf-8"))["decision"]
    for decision in (written, evaluation.facts.get("decision")):
        if decision != "promote":
            raise StaleBlessingError(
                f'the decision on model {model.id[:12]} is "{decision}", but must be "promote"',
                remedy="read the reasons in the evaluation's report.html",
            )


if __name__ == "__main__":
    sys.exit(main())
