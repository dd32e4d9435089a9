"""Scores challenger and champion and decides between them: `python -m components.evaluate`.

evaluation/
  evaluation.json   every number; what is not finite stands as "nan", "inf" or "-inf"
  decision.json     "promote" or "reject", and the reasons
  report.html       both for people, in one file
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.evaluate.decide import Decision, decide
from hopline import artifacts, schema
from hopline.artifacts import Manifest
from hopline.config.evaluate import EvaluateConfig
from hopline.registry.registry import Champion, Registry
from hopline.runtime import program
from hopline.runtime.errors import StaleBlessingError, UserError
from hopline.store import folders

if TYPE_CHECKING:
    from components.evaluate.measure import Measurement

KIND = "evaluation"


def arguments() -> argparse.ArgumentParser:
    """What the program takes."""
    parser = program.parser("evaluate", "Scores challenger and champion on one split and decides between them.")
    parser.add_argument("--examples", type=Path, required=True, help="folder of the examples")
    parser.add_argument("--model", type=Path, required=True, help="folder of the challenger")
    parser.add_argument("--evaluate-config", required=True, help="the [evaluate] section as JSON")
    parser.add_argument("--registry", required=True, help="of the promoted models: a path, or a gs:// or s3:// URI")
    parser.add_argument("--champion", required=True, help='id of the model that is champion, "" if there is none')
    parser.add_argument("--output", type=Path, required=True, help="folder to write the evaluation to")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, evaluates, and returns the exit code; a "reject" is a success."""
    return program.run("evaluate", arguments(), _evaluate, argv)


def choose_split(examples: Manifest, wanted: str) -> str:
    """The split to score: `wanted`, or for "auto" test where there is one, else valid.

    Raises:
        UserError: it has no tokens.
    """
    filled = [split for split in ("test", "valid") if examples.counts.get(split, {}).get("tokens", 0)]
    allowed = [split for split in filled if wanted in ("auto", split)]
    if not allowed:
        raise UserError(
            f'evaluate.split is "{wanted}", but the examples have tokens in {" and ".join(filled) or "neither split"}',
            remedy="choose another split, or give corpus.valid or corpus.test some text",
        )
    return allowed[0]


def _evaluate(options: argparse.Namespace) -> None:
    program.terminate_as_interrupt()
    rule = EvaluateConfig.from_json(options.evaluate_config)
    examples = artifacts.verify(options.examples, schema.EXAMPLES)
    model = artifacts.verify(options.model, schema.MODEL)
    if model.parents.get(schema.EXAMPLES) != examples.id:
        raise UserError(
            f"the model in {options.model} was trained on other examples than those in {options.examples}",
            remedy="pass the examples that it was trained on",
        )
    registry = Registry(options.registry)
    champion = _standing(registry, options.champion)
    split = choose_split(examples, rule.split)
    key = artifacts.content_key(
        evaluate=rule.to_dict(),
        examples=examples.id,
        model=model.id,
        champion=options.champion,
        code=artifacts.code_digest(
            "components.evaluate.__main__", "components.evaluate.score", libraries=artifacts.TENSORFLOW
        ),
    )

    def build(scratch: Path, result: Path) -> None:
        from components.evaluate.measure import measure
        from components.evaluate.samples import write_samples
        from components.evaluate.side import Artifact

        folder = registry.fetch(champion.version, scratch / "champion", "evaluate") if champion else None
        opponent = Artifact(folder, artifacts.read_manifest(folder, schema.MODEL)) if folder else None
        challenger = Artifact(options.model, model)
        source = Artifact(options.examples, examples)
        measured = measure(source, challenger, opponent, split=split, rule=rule, scratch=scratch)
        samples = write_samples(options.model, model, options.examples / schema.TEXT_FOLDER, split, result)
        _write(result, measured, rule, examples, samples)

    manifest, _ = artifacts.produce(options.output, options.work_dir, "evaluate", KIND, key, build)
    print(f"evaluate: {manifest.facts['decision']}", *manifest.facts["reasons"], sep="\n  ", file=sys.stderr)


def _standing(registry: Registry, expected: str) -> Champion | None:
    """The champion, its files checked, which must be the model that the run was planned against.

    Raises:
        StaleBlessingError: it is another one.
    """
    champion = registry.verify()
    found = champion.model_id if champion else ""
    if found != expected:
        raise StaleBlessingError(
            f'the champion is "{found[:12]}", but the run was planned against "{expected[:12]}"',
            remedy="run again, against the champion that stands now",
        )
    return champion


def _write(
    result: Path,
    measured: "Measurement",
    rule: EvaluateConfig,
    examples: Manifest,
    samples: tuple[str, dict[str, Any]],
) -> None:
    """Writes the decision, the numbers and the report, with the section of the samples, and seals them."""
    from components.evaluate.plots import pictures
    from components.evaluate.report import lineage, render

    decision = decide(*measured.scored(), rule)
    content = artifacts.json_value(measured.content())
    challenger, champion = measured.challenger, measured.champion
    manifests = {schema.EXAMPLES: examples, schema.MODEL: challenger.artifact.manifest}
    if champion:
        manifests["champion"] = champion.artifact.manifest
    folders.write_json(result / "evaluation.json", content)
    folders.write_json(result / "decision.json", _decision_content(decision))
    html = render(
        content, decision, pictures(measured), lineage(manifests), challenger.artifact.folder, measured.passages(),
        samples[0],
    )  # fmt: skip
    folders.write_text(result / "report.html", html)
    artifacts.seal(
        result,
        KIND,
        parents={name: manifest.id for name, manifest in manifests.items()},
        config=rule.to_dict(),
        counts={measured.split: examples.counts[measured.split]},
        facts={**_facts(measured, decision), "samples": samples[1]},
    )


def _decision_content(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.outcome,
        "summary": decision.summary,
        "reasons": [str(reason) for reason in decision.reasons],
    }


def _facts(measured: "Measurement", decision: Decision) -> dict[str, Any]:
    """What the manifest says for other steps."""
    challenger, champion = measured.scored()
    numbers: dict[str, Any] = {
        "split": measured.split,
        "compared_by": measured.rule,
        "challenger_perplexity": challenger.perplexity,
        "challenger_comparable": challenger.comparable,
    }
    if champion:
        numbers |= {"champion_perplexity": champion.perplexity, "champion_comparable": champion.comparable}
    made = {key: baseline.perplexity for key, baseline in measured.baselines.items() if baseline.nll is not None}
    return artifacts.json_value({**numbers, "baselines": made, **_decision_content(decision)})


if __name__ == "__main__":
    sys.exit(main())
