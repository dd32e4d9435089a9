"""Declares `resolve` to Kubeflow; the program is `python -m components.resolve`."""

from kfp import dsl

from hopline.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def resolve(
    *,
    corpus_config: str,
    resolve_config: str,
    registry: str,
    work_dir: str,
    fingerprint: dsl.OutputPath(str),  # type: ignore[valid-type]
    champion: dsl.OutputPath(str),  # type: ignore[valid-type]
    resolution: dsl.Output[dsl.Artifact],
) -> str:
    """Finds the corpus fingerprint and the champion's model id ("" for none); returns "train" or "skip"."""
    import json
    from pathlib import Path

    from hopline.process import run_step
    from hopline.records import tell

    arguments = {"corpus_config": corpus_config, "resolve_config": resolve_config, "registry": registry}
    run_step("components.resolve", {**arguments, "output": resolution.path}, work_dir)
    found = json.loads(Path(resolution.path, "resolution.json").read_text(encoding="utf-8"))
    tell("resolution", found)
    Path(fingerprint).write_text(found["fingerprint"], encoding="utf-8")
    Path(champion).write_text(found["champion"], encoding="utf-8")
    return str(found["action"])
