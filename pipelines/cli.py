"""The `hopline` command.  What a command needs is imported when it runs, so that `--help` is immediate."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence

from hopline.runtime.errors import ExitCode, HoplineError, InternalError, UserError
from hopline.runtime.version import VERSION
from pipelines.commands import (
    clean,
    compare,
    compile,  # noqa: A004  the command's name
    config,
    doctor,
    generate,
    help,  # noqa: A004  the command's name
    models,
    rescore,
    run,
    runs,
    schedule,
    score,
    serve,
    submit,
)
from pipelines.commands.parsing import EXIT_CODES, Parser

_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; a user's error never shows a traceback."""
    options = arguments().parse_args(argv)
    try:
        code = int(options.command(options))
        sys.stdout.flush()
        return code
    except HoplineError as error:
        failure: HoplineError = error
    except KeyboardInterrupt:  # before or after the run itself, which has handlers of its own
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # who read what we print, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it leaves
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno in _NOT_ALLOWED:
            failure = UserError(f"{error}", remedy="give yourself the right to write there, or name another place")
        else:
            failure = InternalError(f"{error}", remedy="check the disk, then run the same command again")
    print(f"error:   {failure.message}\nremedy:  {failure.remedy}", file=sys.stderr)
    return failure.code


def arguments() -> argparse.ArgumentParser:
    """The parser of the command line; `command` of its result is the function to call."""
    parser = Parser(
        prog="hopline",
        description="Trains memory-network language models, evaluates them, and keeps the champion.",
        epilog="start here:\n  hopline run --config configs/tiny.toml\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"hopline {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    using = (generate, score, rescore, serve)
    for module in (run, *using, compare, models, submit, runs, schedule, compile, doctor, clean, config, help):
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
