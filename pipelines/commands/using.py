"""What the commands that use a model have in common: which model, and the child that has TensorFlow."""

import argparse
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from hopline.runtime.errors import ExitCode
from hopline.runtime.process import child_environment
from pipelines.commands.parsing import OUTPUT

if TYPE_CHECKING:
    from hopline.use.requests import Request

_MODULE = "components.use"


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds which model to use."""
    group = parser.add_argument_group("the model", "the champion, unless --version names another one")
    place = group.add_mutually_exclusive_group()
    place.add_argument(
        "--output",
        default=str(OUTPUT),
        metavar="PLACE",
        help="what `hopline run` was given as --output: a folder, gs:// or s3:// URI (%(default)s)",
    )
    place.add_argument("--registry", metavar="PLACE", help="a registry, or the folder of one model")
    group.add_argument("--version", type=int, metavar="N", help="a version of the registry, whoever is champion")


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Adds the neural cache."""
    cache = parser.add_argument_group("the neural cache", "makes words likelier that came in a like state before")
    cache.add_argument("--cache", type=int, metavar="WORDS", help="reaches back so many words")
    cache.add_argument("--cache-weight", type=float, default=0.1, metavar="SHARE", help="its share (%(default)s)")
    cache.add_argument(
        "--cache-flatness", type=float, default=10.0, metavar="X", help="how much likeness counts (%(default)s)"
    )


def cache_of(options: argparse.Namespace) -> dict[str, Any] | None:
    """The fields of the request's neural cache; None for no cache."""
    if options.cache is None:
        return None
    return {"window": options.cache, "weight": options.cache_weight, "flatness": options.cache_flatness}


def use(program: str, kind: "type[Request]", options: argparse.Namespace, **values: Any) -> int:
    """Runs a program of `components.use` on the model that the options name, and returns its exit code.

    Args:
        program: its name.
        kind: of its request.
        options: with those of `add_model`.
        values: the fields of the request that are not the model.
    """
    from hopline.use.locate import locate

    located = locate(options.registry or options.output, options.version)
    request = kind(folder=str(located.folder.absolute()), version=located.version, place=located.place, **values)
    command = [sys.executable, "-m", _MODULE, program, request.to_json()]
    with subprocess.Popen(command, env=child_environment()) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)  # the terminal told it as well; what told us alone did not
            child.wait()
            return ExitCode.INTERRUPTED
    if code == -signal.SIGINT:
        return ExitCode.INTERRUPTED
    return 128 - code if code < 0 else code
