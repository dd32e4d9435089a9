"""Declares `resolve` to Kubeflow; the program is `python -m components.resolve`."""

from kfp import dsl

from components.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def resolve(
    *,
    corpus_config: str,
    resolve_config: str,
    preprocess_config: str,
    train_config: str,
    model_config: str,
    registry: str,
    work_dir: str,
    fingerprint: dsl.OutputPath(str),  # type: ignore[valid-type]
    champion: dsl.OutputPath(str),  # type: ignore[valid-type]
    vocabulary_from: dsl.OutputPath(str),  # type: ignore[valid-type]
    drift_from: dsl.OutputPath(str),  # type: ignore[valid-type]
    start_from: dsl.OutputPath(str),  # type: ignore[valid-type]
    pretrained: dsl.OutputPath(str),  # type: ignore[valid-type]
    resolution: dsl.Output[dsl.Artifact],
) -> str:
    """Finds the corpus fingerprint and the champion's model id; returns "train" or "skip".

    `vocabulary_from` and `start_from` are that id where the configuration has a step take something over from the
    champion, `drift_from` where the champion's corpus is another; all four may be "".  `pretrained` tells the vectors'
    content from another's, "" for none.
    """
    import json
    from pathlib import Path

    from hopline.runtime.process import run_step
    from hopline.runtime.records import print_record

    sections = {"corpus_config": corpus_config, "resolve_config": resolve_config}
    sections |= {"preprocess_config": preprocess_config, "train_config": train_config, "model_config": model_config}
    run_step("components.resolve", {**sections, "registry": registry, "output": resolution.path}, work_dir)
    found = json.loads(Path(resolution.path, "resolution.json").read_text(encoding="utf-8"))
    print_record("resolution", found)
    Path(fingerprint).write_text(found["fingerprint"], encoding="utf-8")
    Path(champion).write_text(found["champion"], encoding="utf-8")
    Path(vocabulary_from).write_text(found["vocabulary_from"], encoding="utf-8")
    Path(drift_from).write_text(found["drift_from"], encoding="utf-8")
    Path(start_from).write_text(found["start_from"], encoding="utf-8")
    Path(pretrained).write_text(found["pretrained"], encoding="utf-8")
    return str(found["action"])
