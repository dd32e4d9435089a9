"""Declares `notify` to Kubeflow; the program is `python -m components.notify`."""

from kfp import dsl

from components.images import CONTROL


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def notify(*, run_name: str, run_id: str, work_dir: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """Says how the run ended, and posts its failure to a webhook if the pod's environment names one."""
    from hopline.runtime.process import run_step

    arguments = {"run_name": run_name, "run_id": run_id, "state": status.state, "error": status.error_message or ""}
    run_step("components.notify", arguments, work_dir)
