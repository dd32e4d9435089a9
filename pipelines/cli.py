"""The `hopline` command.  What a command needs is imported when it runs, so that `--help` is immediate."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from hopline.runtime.errors import ExitCode, HoplineError, InternalError, MissingLibraryError, UserError
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
    resize,
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
    _outlive_reader()
    options = arguments().parse_args(argv)
    try:
        code = int(options.command(options))
        sys.stdout.flush()
        return code
    except HoplineError as error:
        failure: HoplineError = error
    except ImportError as error:
        failure = MissingLibraryError.of("hopline", error)
    except KeyboardInterrupt:  # before or after the run itself, which has handlers of its own
        return ExitCode.INTERRUPTED
    except OSError as error:
        if error.errno in _NOT_ALLOWED:
            failure = UserError(f"{error}", remedy="give yourself the right to write there, or name another place")
        else:
            failure = InternalError(f"{error}", remedy="check the disk, then run the same command again")
    print(f"error:   {failure.message}\nremedy:  {failure.remedy}", file=sys.stderr)
    return failure.code


class _Output(io.RawIOBase):
    """Standard output.  Once its reader has enough, such as `head`, what is written goes nowhere, and nobody fails."""

    def fileno(self) -> int:
        return sys.__stdout__.fileno() if sys.__stdout__ else 1

    def isatty(self) -> bool:
        return os.isatty(self.fileno())

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            return os.write(self.fileno(), data)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


def _outlive_reader() -> None:
    """Has a command do its work to the end, whoever reads what it prints, and how much of it."""
    known = sys.__stdout__
    if known is not None and sys.stdout is known and not known.isatty():
        output = io.BufferedWriter(_Output())
        sys.stdout = io.TextIOWrapper(output, known.encoding, known.errors, line_buffering=bool(known.line_buffering))


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
    for module in (run, *using, compare, models, submit, runs, resize, schedule, compile, doctor, clean, config, help):
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
