"""Two workers of one compute thread each against one worker with both cores, at the same global batch.

    python -m benchmarks.worker_scaling [--sequences 64 --targets 50] [--tie output]

Real processes, MultiWorkerMirroredStrategy over loopback.  The two groups take turns, a few steps each, so that a busy
machine slows both; medians of the turns are compared.  The exchange alone, of gradients already there, is
timed as well.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.train.launch.local import cluster, reserved_ports
from components.train.loop.batches import Batches
from components.train.loop.step import Inputs, TrainStep, lane_count
from components.train.state.weights import build_model
from components.train.worker import make_strategy
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.streams import TokenStream

VOCABULARY, STREAM_LENGTH = 10_001, 1_000_000


def serve(options: argparse.Namespace) -> None:
    """A worker: makes as many steps, or exchanges, as each line of standard input says, and prints the seconds."""
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    strategy = make_strategy()
    config = TrainConfig(sequences=options.sequences, targets=options.targets)
    model_config = ModelConfig(tie=options.tie)
    random = np.random.Generator(np.random.Philox(1))
    stream = TokenStream(random.integers(1, VOCABULARY, STREAM_LENGTH).astype(np.int32), "random")
    batches = Batches(stream, config, model_config.memory)
    with strategy.scope():
        model = build_model(model_config, VOCABULARY, config)
    share = options.sequences // strategy.num_replicas_in_sync
    step = TrainStep(strategy, model, config, lane_count(share, options.threads))
    number = 0

    def windows(replica: int, _: int) -> npt.NDArray[np.int32]:
        return batches.windows(number, replica * share, share)

    def mask_keys(replica: int, _: int) -> npt.NDArray[np.int32]:
        return batches.mask_keys(number, replica * share, share)

    def train() -> None:
        nonlocal number
        number += 1
        step(windows, mask_keys, number=number, learning_rate=config.learning_rate, stopping=False)

    inputs = (tf.constant(windows(0, 1)), tf.constant(mask_keys(0, 1)), Inputs(tf.constant(0.0), tf.constant(1.0)))
    packed = tf.function(lambda: strategy.run(step.packed_gradients, args=inputs))()
    acts = {"step": train, "exchange": tf.function(lambda: step.exchange(packed))}
    flat = tf.nest.flatten(packed, expand_composites=True)
    print(json.dumps({"bytes": sum(part.dtype.size * part.shape.num_elements() for part in flat)}), flush=True)
    for line in sys.stdin:
        what, count = line.split()
        started = time.perf_counter()
        for _ in range(int(count)):
            acts[what]()
        print(time.perf_counter() - started, flush=True)


class Workers:
    """Worker processes that wait for their turn."""

    def __init__(self, count: int, options: argparse.Namespace) -> None:
        command = [sys.executable, "-m", "benchmarks.worker_scaling", "--serve"]
        command += ["--threads", str(options.threads // count), "--sequences", str(options.sequences)]
        command += ["--targets", str(options.targets), "--tie", options.tie]
        self._processes = []
        with reserved_ports(count) as ports:
            for index in range(count):
                environment = {**os.environ, **cluster(ports, index)}
                pipe = subprocess.PIPE
                process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
                self._processes.append(process)
            ready = [json.loads(self._answer(process)) for process in self._processes]
            self.bytes = ready[0]["bytes"]

    def turn(self, what: str, count: int) -> float:
        """Seconds that one of `count` steps or exchanges took."""
        for process in self._processes:
            assert process.stdin
            process.stdin.write(f"{what} {count}\n")
            process.stdin.flush()
        return max(float(self._answer(process)) for process in self._processes) / count

    def end(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.kill()
            process.wait()

    @staticmethod
    def _answer(process: "subprocess.Popen[str]") -> str:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended with code {process.wait()}; its words are above")
        return line


def measure(options: argparse.Namespace) -> None:
    """Lets both groups take turns and prints what came of it."""
    groups = {1: Workers(1, options), 2: Workers(2, options)}
    try:
        seconds: dict[tuple[int, str], list[float]] = {(count, "step"): [] for count in groups}
        seconds[2, "exchange"] = []
        for number in range(options.rounds + 1):
            for (count, what), values in seconds.items():
                values.append(groups[count].turn(what, options.turn))
                print(f"\r\x1b[Kround {number}/{options.rounds}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    finally:
        for group in groups.values():
            group.end()
    medians = {key: statistics.median(values[1:]) for key, values in seconds.items()}  # the first round compiles
    batch = options.sequences * options.targets
    print("| workers x threads | ms a step | targets/s |\n| --- | --- | --- |")
    for count in groups:
        step = medians[count, "step"]
        print(f"| {count} x {options.threads // count} | {1000 * step:.1f} | {batch / step:,.0f} |")
    exchange = medians[2, "exchange"]
    print(
        f"two workers reach {medians[1, 'step'] / medians[2, 'step']:.1%} of one; each gives "
        f"{groups[2].bytes / 1e6:.1f} MB a step to the exchange, which alone takes {1000 * exchange:.1f} ms, "
        f"{exchange / medians[2, 'step']:.1%} of the step"
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=64, help="of the global batch")
    parser.add_argument("--targets", type=int, default=50, help="in each of them")
    parser.add_argument("--tie", default="none")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2, help="of all workers together")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--turn", type=int, default=3, help="steps of a turn")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    (serve if options.serve else measure)(options)


if __name__ == "__main__":
    main()
