"""What the doctor says of a real cluster."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.cluster


def diagnosis(cluster, account):
    """The exit code, and the row of the launcher's rights, for an account of the namespace."""
    command = [sys.executable, "-m", "pipelines.cli", "doctor", "cluster", "--kube-namespace", "hopline"]
    command += ["--service-account", account, "--set", "cluster.claim='hopline'", "--host", ""]
    environment = {**cluster.environment, "COLUMNS": "200"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    (row,) = [line for line in done.stdout.splitlines() if "launcher's rights" in line]
    return done.returncode, row


def test_the_launchers_account_may_do_all_and_the_workers_nothing(cluster):
    code, row = diagnosis(cluster, "hopline/hopline-launcher")
    assert code == 0
    assert " ok " in row
    code, row = diagnosis(cluster, "hopline/hopline-worker")
    assert code == 2
    assert " missing " in row
