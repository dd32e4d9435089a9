"""Declares `promote` to Kubeflow; the program is `python -m components.promote`."""

from kfp import dsl

from components.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def promote(
    *,
    model: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    promote_config: str,
    registry: str,
    work_dir: str,
    promotion: dsl.Output[dsl.Artifact],
) -> None:
    """Makes the model the registry's champion, if the evaluation blesses it against the one that stands now."""
    import json
    from pathlib import Path

    from hopline.runtime.process import run_step
    from hopline.runtime.records import print_record

    artifacts = {"model": model.path, "evaluation": evaluation.path, "output": promotion.path}
    run_step("components.promote", {**artifacts, "promote_config": promote_config, "registry": registry}, work_dir)
    print_record("promotion", json.loads(Path(promotion.path, "promotion.json").read_text(encoding="utf-8")))
