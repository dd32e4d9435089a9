"""Declares `resolve` to Kubeflow; the program is `python -m components.resolve`."""

from typing import NamedTuple

from kfp import dsl

from hopline.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def resolve(
    *,
    corpus_config: str,
    resolve_config: str,
    registry: str,
    work_dir: str,
    resolution: dsl.Output[dsl.Artifact],
) -> NamedTuple("Resolution", [("fingerprint", str), ("champion", str), ("action", str)]):  # type: ignore[valid-type]
    """Finds the corpus fingerprint, the champion's model id ("" for none), and whether to "train" or "skip"."""
    import json
    from pathlib import Path

    from hopline.process import run_step

    arguments = {"corpus_config": corpus_config, "resolve_config": resolve_config, "registry": registry}
    run_step("components.resolve", {**arguments, "output": resolution.path}, work_dir)
    found = json.loads(Path(resolution.path, "resolution.json").read_text(encoding="utf-8"))
    return found["fingerprint"], found["champion"], found["action"]
