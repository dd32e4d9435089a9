"""Declares `evaluate` to Kubeflow; the program is `python -m components.evaluate`."""

from kfp import dsl

from components.images import TRAIN


@dsl.component(base_image=TRAIN, install_kfp_package=False)
def evaluate(
    *,
    examples: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    evaluate_config: str,
    registry: str,
    champion: str,
    work_dir: str,
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Scores challenger and champion on one split; returns "promote" or "reject"."""
    import json
    from pathlib import Path

    from components.evaluate.summary import summary
    from hopline.artifacts import read_manifest
    from hopline.runtime.process import run_step
    from hopline.runtime.records import print_record

    artifacts = {"examples": examples.path, "model": model.path, "output": evaluation.path}
    arguments = {"evaluate_config": evaluate_config, "registry": registry, "champion": champion}
    run_step("components.evaluate", {**artifacts, **arguments}, work_dir)
    facts = read_manifest(Path(evaluation.path), "evaluation").facts
    print_record("evaluation", {**facts, "comparison": summary(Path(model.path), Path(evaluation.path))})
    numbers = {name: facts.get(name) for name in ("challenger_perplexity", "champion_perplexity")}
    numbers |= {f"{name}_perplexity": number for name, number in facts.get("baselines", {}).items()}
    for name, number in sorted(numbers.items()):
        if isinstance(number, float):  # a string stands for what is not finite, which metrics cannot hold
            metrics.log_metric(name, number)
    decided = json.loads(Path(evaluation.path, "decision.json").read_text(encoding="utf-8"))
    return str(decided["decision"])
