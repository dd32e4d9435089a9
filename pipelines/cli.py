"""The `hopline` command.  What a command needs is imported when it runs, so that `--help` is immediate."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from hopline.config import Config
from hopline.errors import ExitCode, HoplineError, InternalError
from hopline.images import VERSION

_OUTPUT = Path("hopline-output")
_EXIT_CODES = """\
exit codes:
  0    done; a model that was rejected is a result, not a failure
  1    internal error: the log says more
  2    configuration or data are wrong
  3    training diverged
  4    the champion kept changing while the challenger was evaluated
  130  stopped by Ctrl-C (the same command continues)
  143  stopped by SIGTERM (the same command continues)
"""
_RUN = """\
Runs the whole pipeline on this machine: resolve, preprocess, train, evaluate, promote.  Stopped or killed at any
moment, the same command continues where it was; results for unchanged configuration and text are found in the cache.

examples:
  hopline run --config configs/tiny.toml
  hopline run --config configs/tiny.toml --workers 2 --set train.epochs=3 --set corpus.train='my-texts/*.txt'
  hopline run --config configs/tiny.toml --runner docker

written under --output:
  runs/<id>/   one folder per run, named by its time: config.toml, log.txt, examples/, model/, evaluation/
  registry/    every promoted model and the champion among them
  cache/       results and checkpoints by what they were made from; `hopline clean` removes it

"""
_COMPILE = """\
Compiles the pipeline for a Kubeflow Pipelines 2 server: one YAML file, whole or not at all.  Its parameters default
to the configuration; the registry's folder has no default.

examples:
  hopline compile --output pipeline.yaml
  hopline compile --config configs/ptb.toml --set train.workers=4 --output pipeline.yaml

"""
_CLEAN = """\
Removes the cache of an output folder: results that can be made again, and checkpoints of runs that were stopped.
Keeps the registry and all runs.  Refuses while a run is using the folder.

example:
  hopline clean --output hopline-output

"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; a user's error never shows a traceback."""
    options = arguments().parse_args(argv)
    try:
        return int(options.command(options))
    except HoplineError as error:
        failure: HoplineError = error
    except KeyboardInterrupt:  # before or after the run itself, which has handlers of its own
        return ExitCode.INTERRUPTED
    except OSError as error:
        failure = InternalError(
            f"{error}", remedy="check the disk and the permissions, then run the same command again"
        )
    print(f"error:   {failure.message}\nremedy:  {failure.remedy}", file=sys.stderr)
    return failure.code


def arguments() -> argparse.ArgumentParser:
    """The parser of the command line; `command` of its result is the function to call."""
    parser = argparse.ArgumentParser(
        prog="hopline",
        description="Trains memory-network language models, evaluates them, and keeps the champion.",
        epilog="start here:\n  hopline run --config configs/tiny.toml\n\n" + _EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hopline {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = _command(commands, "run", _run, "run the whole pipeline on this machine", _RUN)
    _add_config(run, required=True)
    run.add_argument("--workers", type=int, metavar="N", help="training processes; the same as --set train.workers=N")
    run.add_argument("--output", type=Path, default=_OUTPUT, metavar="DIR", help="folder for everything (%(default)s)")
    run.add_argument(
        "--runner",
        choices=("subprocess", "docker"),
        default="subprocess",
        help="what a step is: a process of this machine, or a container of its image, see `make images` (%(default)s)",
    )

    compile_ = _command(commands, "compile", _compile, "write the pipeline as YAML for a cluster", _COMPILE)
    _add_config(compile_, required=False)
    compile_.add_argument("--output", type=Path, required=True, metavar="FILE", help="the YAML file to write")

    clean = _command(commands, "clean", _clean, "remove the cache of an output folder", _CLEAN)
    clean.add_argument("--output", type=Path, default=_OUTPUT, metavar="DIR", help="the folder to clean (%(default)s)")
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    function: Callable[[argparse.Namespace], int],
    summary: str,
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=text,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=function)
    return parser


def _add_config(parser: argparse.ArgumentParser, *, required: bool) -> None:
    note = "" if required else " (default: the built-in configuration)"
    parser.add_argument("--config", type=Path, required=required, metavar="FILE", help=f"configuration, TOML{note}")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.KEY=VALUE",
        help="replaces one value of the configuration; may be given several times",
    )


def _run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from pipelines.closing import print_failure, print_result
    from pipelines.run import LOG, run_pipeline

    overrides = [*options.overrides]
    if options.workers is not None:
        overrides.append(f"train.workers={options.workers}")
    config = Config.load(options.config, overrides)
    config = replace(config, corpus=config.corpus.absolute(Path.cwd()))
    console = Console(highlight=False)
    run = run_pipeline(config, options.output, console, options.runner)
    if run.failure is None:
        print_result(run, options.output.absolute(), console)
        return ExitCode.DONE
    print_failure(run.failure, run.folder / LOG, Console(stderr=True, highlight=False))
    return run.failure.code


def _compile(options: argparse.Namespace) -> int:
    from pipelines.compiled import write_pipeline

    config = Config.load(options.config, options.overrides)
    write_pipeline(config, options.output)
    print(f"wrote {options.output}")
    return ExitCode.DONE


def _clean(options: argparse.Namespace) -> int:
    from pipelines.run import clean

    freed = clean(options.output)
    print(f"removed {freed / 1e6:,.1f} MB; registry and runs are as they were")
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
