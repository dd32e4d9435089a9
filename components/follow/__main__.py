"""Gives a TensorFlow Serving server the champion's version, and changes over after a promotion or a rollback.

The server is to read --config, by which it serves all versions below --models and calls the champion's `champion`;
k8s/overlays/serving has both.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from components.follow.config import ServingConfig
from components.follow.follower import Follower
from components.follow.server import Server
from hopline.registry.registry import Registry
from hopline.runtime.errors import HoplineError
from hopline.runtime.program import parser, run, terminate_as_interrupt
from hopline.store.folders import writable_folder

_STEP = "follow"


def arguments() -> argparse.ArgumentParser:
    """What the program takes."""
    result = parser(_STEP, __doc__ or "")
    result.add_argument("--registry", required=True, help="of the promoted models: a path, or a gs:// or s3:// URI")
    result.add_argument("--models", type=Path, required=True, help="the folder that the server serves from")
    result.add_argument("--server", required=True, help="the model's status URL: http://host:port/v1/models/<name>")
    result.add_argument(
        "--config", type=Path, help='the server\'s configuration, to be written here, with the label "champion"'
    )
    result.add_argument("--period", type=float, default=15.0, help="seconds between two looks at the registry")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """The program; it ends on SIGTERM, or with an error if there is nothing to serve."""
    return run(_STEP, arguments(), _follow, argv)


def _follow(options: argparse.Namespace) -> None:
    terminate_as_interrupt()
    models = writable_folder(options.models, "--models")
    work = writable_folder(options.work_dir, "--work-dir")
    name = options.server.rstrip("/").rpartition("/")[2]
    config = ServingConfig(options.config, name, models) if options.config else None
    follower = Follower(Registry(options.registry), models, work, Server(options.server), config)
    printed = ""
    while True:
        try:
            state = follower.turn()
        except HoplineError as error:
            if not follower.versions():  # nothing is lost by ending, and a pod that does not start is seen
                raise
            state = f"{error.message}; remedy: {error.remedy}; what is served stays"
        if state != printed:
            print(f"{_STEP}: {state}", file=sys.stderr, flush=True)
            printed = state
        time.sleep(options.period)


if __name__ == "__main__":
    sys.exit(main())
