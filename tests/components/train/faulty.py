"""Training runs that are disturbed on purpose, and what is left of them."""

import json
import os
import signal
import time

import keras
import psutil

import hopline.model.network  # noqa: F401  (registers the model with Keras)

WAIT_SECONDS = 120


def weights(model_folder):
    return [keras.ops.convert_to_numpy(v) for v in keras.saving.load_model(model_folder / "model.keras").variables]


def same_weights(one, other):
    """Whether two model folders hold the same weights, to the last bit."""
    pairs = zip(weights(one), weights(other), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def wait_until(what, process):
    """What `what()` gives once it is true, or None when the process has ended before."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := what()):
        if process.poll() is not None:
            return None
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)  # a checkpoint write lasts a few milliseconds
    return found


def worker(launcher, index):
    """Process `index` of the launcher's workers; None while it is not there."""
    try:
        for child in psutil.Process(launcher.pid).children():
            place = json.loads(child.environ().get("TF_CONFIG", '{"task": {"index": 0}}'))
            if "components.train.worker" in child.cmdline() and place["task"]["index"] == index:
                return child
    except psutil.Error:  # ended in between
        pass
    return None


def checkpoints(folder):
    """The checkpoints of the run in `folder`, oldest first."""
    return sorted(folder.glob("work/train/*/scratch/training/checkpoints/step-*"))


def saving(folder):
    """The checkpoints that are being written, or were when their writer was killed."""
    return set(folder.glob("work/train/*/scratch/training/checkpoints/.step-*.partial"))


def send(child, number=signal.SIGKILL):
    """Sends the signal, unless the process is gone already; whether it was sent."""
    try:
        os.kill(child.pid, number)
    except ProcessLookupError:
        return False
    return True
