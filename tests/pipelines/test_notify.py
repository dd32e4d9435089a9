"""The pipeline as it is for a cluster, with its last step, run here by kfp.local with fake programs."""

import subprocess
import sys

import pytest

from tests.pipelines.conftest import finish

pytestmark = pytest.mark.slow
DRIVER = """
import sys
from kfp import local
from kfp.local import subprocess_task_handler
from pipelines.config.cluster import ClusterConfig
from pipelines.driver import _with_interpreter
from pipelines.pipeline import training_pipeline

subprocess_task_handler.replace_python_executable = _with_interpreter
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1], raise_on_error=True)
training_pipeline(ClusterConfig())(registry=sys.argv[2], work_dir=sys.argv[2])
"""


@pytest.mark.parametrize(("behaviour", "state"), [({}, "SUCCEEDED"), ({"train": "fail"}, "FAILED")])
def test_the_last_step_tells_how_the_run_ended_also_here(hopline, behaviour, state):
    import json

    command = [sys.executable, "-c", DRIVER, str(hopline.folder / "root"), str(hopline.folder / "work")]
    environment = {**hopline.environment, "FAKE_STEPS": json.dumps(behaviour)}
    process = subprocess.Popen(
        command, cwd=hopline.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    done = finish(process)
    assert (done.returncode == 0) == (state == "SUCCEEDED")
    assert (hopline.folder / "work" / "told").read_text() == state
