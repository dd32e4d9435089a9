"""The program of one worker.  Its place among the workers is in TF_CONFIG, as TensorFlow defines it.

    {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}

Worker 0 is the chief: it alone writes.  A single worker needs no TF_CONFIG.

In a pod of an Indexed Job TF_CONFIG is made here, from HOPLINE_CLUSTER ("host:port,host:port", worker by worker) and
from JOB_COMPLETION_INDEX, the only thing in which the Job's pods differ.

Examples and the training folder are paths that all workers see, or URIs of an object store: then each worker has its
own copy in `--scratch`.
"""

import argparse
import contextlib
import ctypes
import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components.train.launch import stages
from components.train.state import checkpoint
from components.train.state.stored import Sender, StoredTraining
from hopline.artifacts import read_manifest
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.runtime import places, program
from hopline.runtime.cpus import usable_cpus
from hopline.runtime.errors import UserError
from hopline.runtime.process import PARENT_VARIABLE
from hopline.runtime.progress import RECORD_VARIABLE
from hopline.schema import EXAMPLES
from hopline.store import trees

CLUSTER_VARIABLE = "HOPLINE_CLUSTER"
_INDEX_VARIABLE = "JOB_COMPLETION_INDEX"  # Kubernetes sets it
JOIN_SECONDS = 3_600  # in which all workers must have started: on a cluster nodes and images may be slow to come
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def arguments() -> argparse.ArgumentParser:
    """The worker's command line."""
    parser = program.parser("train.worker", "Trains as one worker of a group; TF_CONFIG says which.")
    parser.add_argument("--examples", required=True, help="folder or URI of the examples (preprocess)")
    parser.add_argument("--model-config", required=True, help="[model] as JSON")
    parser.add_argument("--train-config", required=True, help="[train] as JSON")
    parser.add_argument("--training-dir", required=True, help="folder or URI of the whole group's checkpoints and log")
    parser.add_argument(
        "--scratch", type=Path, help="folder of this worker alone, for what it has from an object store"
    )
    parser.add_argument("--threads", type=int, default=0, help="compute threads; 0 for one per CPU that it may use")
    parser.add_argument("--accelerators", type=int, help="GPUs that must be there; all others are left alone")
    return parser


def worker_index() -> int:
    """This worker's index among the workers, 0 for the chief.

    Raises:
        UserError: TF_CONFIG is set but is not what TensorFlow defines.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0
    try:
        return int(json.loads(text)["task"]["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"TF_CONFIG is {text!r}, which does not name a task index",
            remedy='set it to {"cluster": {"worker": [...]}, "task": {"type": "worker", "index": 0}}',
        ) from error


def _hosts() -> list[str]:
    """The workers' places as TF_CONFIG has them, index by index; none of a worker that is alone."""
    try:
        return list(map(str, json.loads(os.environ.get("TF_CONFIG", "{}"))["cluster"]["worker"]))
    except (ValueError, KeyError, TypeError):
        return []


def set_cluster_config() -> bool:
    """Sets TF_CONFIG in a pod of an Indexed Job; whether this is one.

    Raises:
        UserError: the pod has no index.
    """
    hosts = os.environ.get(CLUSTER_VARIABLE, "")
    if not hosts:
        return False
    os.environ.setdefault(RECORD_VARIABLE, "1")  # the launcher has nothing but the log
    workers, index = hosts.split(","), os.environ.get(_INDEX_VARIABLE, "")
    if not index.isdecimal() or int(index) >= len(workers):
        raise UserError(
            f'{_INDEX_VARIABLE} is "{index}", but must be the index of one of the {len(workers)} workers',
            remedy="run the worker in an Indexed Job with as many completions",
        )
    if len(workers) > 1:
        place = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": int(index)}}
        os.environ["TF_CONFIG"] = json.dumps(place)
    return True


def work(options: argparse.Namespace) -> None:
    """Joins the group and trains."""
    in_pod = set_cluster_config()
    chief = worker_index() == 0
    stage = stages.Reporter(options.work_dir, aloud=in_pod and chief)  # the chief's log is what a launcher shows
    stage(stages.LOADING)
    model_config = ModelConfig.from_json(options.model_config)
    config = TrainConfig.from_json(options.train_config)
    scratch = options.scratch or options.work_dir
    examples = _local_examples(options.examples, scratch)
    manifest = read_manifest(examples, EXAMPLES)
    stored = None
    training = places.parse_place(options.training_dir)
    if isinstance(training, str):
        stored = StoredTraining(training, scratch / "training")
        training = stored.folder
    if stored or (in_pod and chief):
        _prepare(training, stored, chief=chief)

    import keras
    import tensorflow as tf

    from components.train.launch.faults import explained
    from components.train.loop.step import lane_count
    from components.train.loop.trainer import Trainer
    from hopline.model.streams import load_stream

    threads = (
        options.threads or usable_cpus()
    )  # TensorFlow would take as many as the node has, whatever the pod may use
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    gpu = require_accelerators(options.accelerators)
    if config.precision == "bfloat16" and gpu:  # on a CPU only the output layer gains by it (docs/experiments.md)
        keras.config.set_dtype_policy("mixed_bfloat16")
    faults = functools.partial(explained, f"worker {worker_index()}", training, alone="TF_CONFIG" not in os.environ)
    if "TF_CONFIG" in os.environ:
        stage(stages.MEETING)
    with faults(), _joining():
        strategy = make_strategy()
    stage(stages.READING)
    told_to_stop = _StopSignal()  # only now: a strategy of several workers takes SIGTERM for itself
    if stored and not chief:  # only now: the chief, which has joined, has left the newest sound checkpoint there
        stored.fetch_newest()
    replicas = strategy.num_replicas_in_sync
    if config.sequences % replicas:
        raise UserError(
            f"train.sequences is {config.sequences}, but must divide evenly among {replicas} devices",
            remedy=f"set train.sequences to a multiple of {replicas}",
        )
    train, valid = (
        load_stream(examples, manifest, split, least=config.targets, scratch=scratch) for split in ("train", "valid")
    )
    stage(stages.COMPILING)
    # It is asked before each step: the second time the first one is done.
    told_to_stop.second = lambda: stage(stages.TRAINING)
    with faults(), Sender(stored) if stored and chief else contextlib.nullcontext() as sender:
        Trainer(
            strategy=strategy,
            chief=chief,
            scratch=training,
            train=train,
            valid=valid,
            vocabulary_size=manifest.facts["vocabulary_size"],
            model_config=model_config,
            config=config,
            lanes=1 if gpu else lane_count(config.sequences // replicas, threads),
            on_gpu=gpu,
            sender=sender,
        ).run(stopping=told_to_stop)


def _local_examples(place: str, scratch: Path) -> Path:
    """The folder of the examples: the place itself, or a copy of what is at that URI."""
    examples = places.parse_place(place)
    if isinstance(examples, Path):
        return examples
    trees.fetch_tree(examples, scratch / EXAMPLES, "train")
    return scratch / EXAMPLES


def _prepare(training: Path, stored: StoredTraining | None, *, chief: bool) -> None:
    """Makes the training folder, and has the chief leave only sound checkpoints in it or in the object store.

    Nobody else could: a launcher need not see the volume.  It is safe here, since Kubernetes starts no second worker 0
    before the first has ended, and the others load a checkpoint only once this one has joined them.
    """
    try:
        training.mkdir(parents=True, exist_ok=True)
        if stored is None:
            checkpoint.repair(training / checkpoint.FOLDER)
    except OSError as error:
        raise checkpoint.unwritable(training, error) from error
    if stored and chief:
        stored.recover()


@contextlib.contextmanager
def _joining() -> Iterator[None]:
    """Says for whom this worker waits while the block joins it to the others, and bounds that.

    The bound is the kernel's: while TensorFlow waits it lets no Python run, and it may wait without end.
    """
    workers, index = _hosts(), worker_index()
    if len(workers) > 1:
        others = ", ".join(f"worker {other} at {host}" for other, host in enumerate(workers) if other != index)
        print(f"train: worker {index} waits for {others}; {JOIN_SECONDS:,} s at most", file=sys.stderr, flush=True)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(JOIN_SECONDS)
    yield
    signal.alarm(0)


def require_accelerators(promised: int | None) -> bool:
    """Whether this worker computes on GPUs.

    One that was promised none leaves those it may see alone: NCCL needs GPUs in all workers, and would wait forever.

    Args:
        promised: how many must be there; None for as many as there are.

    Raises:
        UserError: there are fewer.
    """
    import tensorflow as tf

    if promised == 0:
        tf.config.set_visible_devices([], "GPU")
        return False
    found = len(tf.config.list_physical_devices("GPU"))
    if promised and found < promised:
        raise UserError(
            f"worker {worker_index()} was given {promised} GPUs, but TensorFlow sees {found}",
            remedy="set job.image to an image with CUDA (make image-gpu), and see to the driver of the node",
        )
    return found > 0


def make_strategy() -> Any:
    """The MultiWorkerMirroredStrategy over all workers of TF_CONFIG: NCCL between GPUs, else a ring."""
    import tensorflow as tf

    experimental = tf.distribute.experimental
    implementations = experimental.CommunicationImplementation
    gpu = tf.config.get_visible_devices("GPU")
    options = experimental.CommunicationOptions(implementation=implementations.NCCL if gpu else implementations.RING)
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one worker."""
    _die_with_launcher()
    return program.run("train", arguments(), work, argv)


def _die_with_launcher() -> None:
    """Has the kernel end this process with the launcher that started it.

    Following the parent from a thread is not enough here: while TensorFlow waits for other workers, for minutes, it
    lets no Python run.  Only Linux has this.
    """
    launched = os.environ.get(PARENT_VARIABLE, "").startswith(f"{os.getppid()}:")
    if launched and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _StopSignal:
    """True once SIGTERM or SIGINT has come: the trainer then saves at the end of its step.

    Attributes:
        second: called when it is asked for the second time.
    """

    def __init__(self) -> None:
        self._come = False
        self._asked = 0
        self.second: Callable[[], None] = lambda: None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def __call__(self) -> bool:
        self._asked += 1
        if self._asked == 2:
            self.second()
        return self._come

    def _note(self, number: int, frame: object) -> None:
        self._come = True


if __name__ == "__main__":
    sys.exit(main())
