"""The frame of every step's program: one place where errors become messages and exit codes."""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hopline.runtime.errors import ExitCode, HoplineError, InternalError, MissingLibraryError, PreemptedError
from hopline.runtime.process import FAILURE_FILE, follow_parent, write_failure

_TEMPORARY = "tmp"  # in a step's folder for work in progress


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
        with _temporary_files(options.work_dir):
            main(options)
        return ExitCode.DONE
    except _TerminatedError:
        failure: HoplineError = PreemptedError(
            f"{step} was told to stop", remedy="run the same command again: it continues"
        )
    except KeyboardInterrupt:
        print(f"{step}: interrupted; the same command continues", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except HoplineError as error:
        failure = error
    except ImportError as error:
        failure = MissingLibraryError.of(step, error)
    except Exception as error:
        traceback.print_exc()
        failure = InternalError(
            f"{step}: {type(error).__name__}: {error}", remedy="see the traceback in the log; if it persists, report it"
        )
    lines = [f"error: {failure.message}", f"  remedy: {failure.remedy}"]
    try:
        write_failure(options.work_dir / FAILURE_FILE, step, failure)
    except OSError as error:
        lines.append(f"error: cannot write {options.work_dir / FAILURE_FILE}: {error.strerror}")
    with contextlib.suppress(OSError):  # the log may be on a disk that is full
        print(*lines, sep="\n", file=sys.stderr)
    return failure.code


@contextlib.contextmanager
def _temporary_files(work: Path) -> Iterator[None]:
    """Keeps the temporary files of the block below `work`, and removes them at its end.

    TensorFlow writes the code that it traces to files that only an ordinary end of the process would remove; those of a
    process that was killed are removed by the next one with the same folder.
    """
    folder, before = work / _TEMPORARY, tempfile.tempdir
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # a folder that cannot be written is the step's to name
        folder.mkdir(parents=True)
        tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


class _TerminatedError(KeyboardInterrupt):
    """SIGTERM, in the form of an interrupt: no `except Exception` holds it up."""


def terminate_as_interrupt() -> None:
    """Makes the first SIGTERM raise an interrupt, so that a step cleans up in the same way for both.

    Further ones are ignored: they come from every process above, and must not cut the cleaning up short.
    """

    def raise_interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _TerminatedError

    signal.signal(signal.SIGTERM, raise_interrupt)
