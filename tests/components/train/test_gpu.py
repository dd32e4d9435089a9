"""What only a GPU can show; asked for with `-m gpu`, it fails where there is none."""

import json
import subprocess
import sys

import pytest


@pytest.mark.gpu
def test_losses_in_bfloat16_fall_and_stay_within_a_percent_of_float32():
    command = [sys.executable, "-m", "benchmarks.gpu_step", "--rounds", "3", "--losses", "50", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["bfloat16"]["last_loss"] < found["bfloat16"]["first_loss"] - 0.5
    assert found["loss_difference"] < 0.01
