"""The frame of every step's program: one place where errors become messages and exit codes."""

import argparse
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from hopline.errors import ExitCode, HoplineError, InternalError
from hopline.process import FAILURE_FILE, follow_parent, write_failure


def parser(step: str, description: str) -> argparse.ArgumentParser:
    """An argument parser for `python -m components.<step>` with what all steps take."""
    result = argparse.ArgumentParser(
        prog=f"python -m components.{step}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument(
        "--work-dir",
        type=Path,
        required=True,
        help="folder for work in progress, checkpoints and finished results, by which a killed run is found again",
    )
    return result


def run(
    step: str,
    arguments: argparse.ArgumentParser,
    main: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parses `argv`, calls `main`, and returns the exit code; a failure is printed and left in `failure.json`."""
    options = arguments.parse_args(argv)
    follow_parent()
    try:
        main(options)
        return ExitCode.DONE
    except KeyboardInterrupt:
        print(f"{step}: interrupted; the same command continues", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except HoplineError as error:
        failure = error
    except Exception as error:
        traceback.print_exc()
        failure = InternalError(
            f"{step}: {type(error).__name__}: {error}", remedy="see the traceback in the log; if it persists, report it"
        )
    print(f"error: {failure.message}\n  remedy: {failure.remedy}", file=sys.stderr)
    try:
        options.work_dir.mkdir(parents=True, exist_ok=True)
        write_failure(options.work_dir / FAILURE_FILE, step, failure)
    except OSError as error:
        print(f"error: cannot write {options.work_dir / FAILURE_FILE}: {error.strerror}", file=sys.stderr)
    return failure.code


def terminate_as_interrupt() -> None:
    """Makes SIGTERM raise KeyboardInterrupt, so that a step cleans up in the same way for both."""

    def raise_interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, raise_interrupt)
