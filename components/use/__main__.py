"""Uses a model: `python -m components.use score|generate|rescore|serve REQUEST`, the children of the commands.

They write to standard output alone and leave no files.  Errors are printed as the `hopline` command prints its own.
"""

import argparse
import importlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence

from hopline.runtime.errors import ExitCode, HoplineError, InternalError, MissingLibraryError
from hopline.runtime.process import follow_parent

_STDERR = 2
PROGRAMS = ("score", "generate", "rescore", "serve")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one program and returns its exit code; a reader that has enough, such as `head`, is no error."""
    parser = argparse.ArgumentParser(prog="python -m components.use", description=__doc__, allow_abbrev=False)
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("request", help="JSON, see hopline.use.requests")
    options = parser.parse_args(argv)
    # Nothing is left half-written, so an interrupt ends at once, also inside of TensorFlow.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    follow_parent()
    try:
        _prepare_tensorflow()
        importlib.import_module(f"components.use.{options.program}").run(options.request)
        sys.stdout.flush()
        return ExitCode.DONE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains as it leaves
        return ExitCode.DONE
    except HoplineError as error:
        failure: HoplineError = error
    except ImportError as error:
        failure = MissingLibraryError.of(f"hopline {options.program}", error)
    except MemoryError:
        failure = InternalError("memory ran out", remedy="give less text at a time")
    except Exception as error:
        traceback.print_exc()
        failure = InternalError(f"{type(error).__name__}: {error}", remedy="if it persists, report it")
    sys.stdout.flush()
    print(f"error:   {failure.message}\nremedy:  {failure.remedy}", file=sys.stderr)
    return failure.code


def _prepare_tensorflow() -> None:
    """Imports TensorFlow, and has it look for devices, with standard error redirected to /dev/null.

    C++ prints the devices found, before TensorFlow reads the log level.  As in evaluate, two processes can share a GPU,
    and products are not rounded to TensorFloat-32.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what the kernels of this processor cannot do
    stderr = os.dup(_STDERR)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, _STDERR)
    try:
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
        tf.config.experimental.enable_tensor_float_32_execution(False)
        tf.constant(0)
    finally:
        os.dup2(stderr, _STDERR)
        os.close(stderr)
        os.close(silence)


if __name__ == "__main__":
    # TensorFlow writes the code that it traces to files that only an ordinary end of the process would remove.
    with tempfile.TemporaryDirectory(prefix="hopline-") as tempfile.tempdir:
        code = main()
    sys.stdout.flush()
    os._exit(code)  # an ordinary end takes TensorFlow half a second
