"""Kills workers and launchers at random moments: python -m tests.components.train.soak --kills 20.

Prints each moment, and in the end whether every run that was disturbed has the very weights of an undisturbed one.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.components.train import faulty
from tests.components.train.conftest import command, run_training
from tests.support import synthetic_documents, write_examples

WORKERS = 2
LATEST_SECONDS = 14.0  # after the last disturbance: from the start-up of new workers to well into training
MOMENTS = ("worker 0", "worker 1", "launcher", "worker 0 while it saves", "launcher while a worker saves")


def disturb(launcher, folder, who, delay):
    """Waits for the moment and kills; false when the run was done before."""
    try:
        launcher.wait(timeout=delay)
        return False
    except subprocess.TimeoutExpired:
        pass
    if "save" in who and faulty.wait_until(lambda: faulty.saving(folder), launcher) is None:
        return False
    if who.startswith("launcher"):
        launcher.kill()
        launcher.wait()
        return True
    victim = faulty.wait_until(lambda: faulty.worker(launcher, int(who.split()[1])), launcher)
    return victim is not None and faulty.send(victim, signal.SIGKILL)


def disturbed_run(examples, folder, moments, settings, log):
    """Trains in `folder`, killing at `moments` (an iterator), until the run is done; how many kills it took."""
    kills, code = 0, None
    with log.open("w") as said:
        while code is None or code == -signal.SIGKILL:
            launcher = subprocess.Popen(command(examples, folder, **settings), stdout=said, stderr=said)
            for who, delay in moments:
                began = time.monotonic()
                hit = disturb(launcher, folder, who, delay)
                if hit:
                    kills += 1
                    steps = [int(path.name[-9:]) for path in faulty.checkpoints(folder)]
                    waited = time.monotonic() - began
                    print(f"kill {kills:3} {who:30} {waited:6.2f} s on, step {max(steps, default=0):4}", flush=True)
                if not hit or who.startswith("launcher"):
                    break
            code = launcher.wait()
    if code:
        raise SystemExit(f"the run ended with code {code}:\n{log.read_text()[-3000:]}")
    return kills


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    source = random.Random(options.seed)
    settings = {"workers": WORKERS, "epochs": options.epochs, "restarts": options.kills}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        examples = root / "examples"
        examples.mkdir()
        write_examples(examples, {"train": synthetic_documents(1, 12, 250), "valid": synthetic_documents(2, 3, 150)})
        began = time.monotonic()
        (root / "undisturbed").mkdir()
        undisturbed = run_training(examples, root / "undisturbed", **settings)
        assert undisturbed.code == 0, undisturbed.said
        print(f"undisturbed: {time.monotonic() - began:.0f} s, {len(undisturbed.losses)} steps", flush=True)
        left, runs, same = options.kills, 0, True
        while left:
            runs += 1
            folder = root / f"run-{runs}"
            folder.mkdir()
            moments = iter([(source.choice(MOMENTS), source.uniform(0, LATEST_SECONDS)) for _ in range(left)])
            left -= disturbed_run(examples, folder, moments, settings, root / f"run-{runs}.log")
            equal = faulty.same_weights(folder / "model", undisturbed.output)
            same = same and equal
            print(f"run {runs} is done: {'bit-identical' if equal else 'DIFFERENT WEIGHTS'}", flush=True)
    print(f"{options.kills} kills, {runs} runs, {time.monotonic() - began:.0f} s: {'same' if same else 'DIFFERENT'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
