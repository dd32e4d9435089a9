"""Child processes that never outlive their parent, and errors that cross between them.

A child started here finds its parent's identity in its environment and watches it (`follow_parent`):
when the parent is gone, however it ended, the child leaves too.  The kernel's parent-death signal would
not do: Kubeflow's local runner puts a shell between our processes.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hopline.runtime.errors import (
    DivergedError,
    ExitCode,
    HoplineError,
    InternalError,
    LostPeersError,
    MissingLibraryError,
    PreemptedError,
    SaveError,
    StaleBlessingError,
    UserError,
)
from hopline.runtime.records import print_record

PARENT_VARIABLE = "HOPLINE_PARENT"
FAILURE_FILE = "failure.json"
_POLL_SECONDS = 0.5
# What no child inherits.  Launchers set TF_CONFIG and HOPLINE_CLUSTER themselves, for their own workers.
_FOREIGN = re.compile(
    "LC_.*|LANGUAGE|TF_CONFIG|TF_USE_LEGACY_KERAS|TF_XLA_FLAGS|TF_DETERMINISTIC_OPS|XLA_FLAGS|KERAS_.*|OMP_.*|KMP_.*"
    "|MKL_.*|OPENBLAS_.*|(ONE)?DNNL?_.*|TF_(ENABLE|NUM|CUDNN|CUBLAS|DISABLE)_.*|NVIDIA_TF32_OVERRIDE"
    "|HOPLINE_CLUSTER|JOB_COMPLETION_INDEX|PYTHON(OPTIMIZE|STARTUP|WARNINGS|HASHSEED|IOENCODING|INSPECT|DEBUG|HOME"
    "|CASEOK|DEVMODE|INTMAXSTRDIGITS|TRACEMALLOC|VERBOSE)"
)
_FIXED = {
    "LANG": "C.UTF-8",  # of no country: a Turkish locale lower-cases I to a dotless i
    "KERAS_BACKEND": "tensorflow",
    "KERAS_HOME": os.devnull,  # no ~/.keras/keras.json: it may ask for another floatx
    # Folders named `components` or `pipelines` in the user's working directory do not shadow ours under `python -m`.
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}
_UNPROXIED = ("no_grpc_proxy", "no_proxy", "NO_PROXY")  # gRPC asks for the first, and else for the second
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_BY_CODE: dict[int, type[HoplineError]] = {
    error.code: error for error in (UserError, DivergedError, StaleBlessingError, PreemptedError, InternalError)
}
_BY_NAME = {error.__name__: error for error in (*_BY_CODE.values(), MissingLibraryError, LostPeersError, SaveError)}


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child of ours: what a step computes depends on its inputs, not on its user's settings.

    Everything is inherited but what `_FOREIGN` matches (settings of libraries, of the interpreter, of another cluster)
    and what `_FIXED` sets.  Loopback is added to the hosts that no proxy serves: gRPC would send the workers of this
    machine to the proxy.

    Args:
        extra: what the child gets besides, whatever it is called.
    """
    inherited = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    unproxied = ",".join(filter(None, dict.fromkeys([*map(inherited.get, _UNPROXIED), *_LOOPBACK])))
    return {
        **inherited,
        **dict.fromkeys(_UNPROXIED, unproxied),
        **_FIXED,
        PARENT_VARIABLE: f"{os.getpid()}:{_start_time(os.getpid())}",
        **(extra or {}),
    }


def follow_parent() -> None:
    """Ends this process soon after the one named in its environment has ended.

    A process without that variable (started by hand, or alone in a container) follows no process.
    """
    identity = os.environ.get(PARENT_VARIABLE, "")
    if not identity:
        return
    pid, _, started = identity.partition(":")
    threading.Thread(target=_leave_with, args=(int(pid), started), daemon=True, name="follow-parent").start()


def run_step(module: str, arguments: Mapping[str, str], work: str) -> None:
    """Runs a step's program as a child process and turns its failure into the same error here.

    This process leaves with its own parent.  A SIGTERM it passes on, and waits for what the step makes of it.

    Raises:
        HoplineError: the step failed; message, remedy and code are the step's own.
    """
    follow_parent()
    # With "=", since a value of its own that begins with a dash would be taken for an option.
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**arguments, "work_dir": work}.items()]
    command = [sys.executable, "-m", module, *options]
    failure = Path(work) / FAILURE_FILE
    failure.unlink(missing_ok=True)
    with subprocess.Popen(command, env=child_environment()) as child, _passing_on_termination(child):
        try:
            code = child.wait()
        except BaseException:
            child.terminate()
            raise  # Popen's own exit waits for it
    if code != ExitCode.DONE:
        error = read_failure(failure)
        if error is None:  # it was killed, or crashed before it could write why
            error = failure_of(module, code)
            with contextlib.suppress(OSError):
                write_failure(failure, module, error)
        print_record("failure", _failure_record(module.rpartition(".")[2], error))
        error.add_note(f"remedy: {error.remedy}")  # a pod's log shows the traceback, and nothing else of the error
        raise error


def failure_of(module: str, code: int) -> HoplineError:
    """The error for a program that ended with `code` and left no word of why.

    Args:
        module: the program.
        code: its exit code, or the negative number of the signal that ended it, as `subprocess` has it.
    """
    if code in (-signal.SIGINT, -signal.SIGTERM, ExitCode.INTERRUPTED, ExitCode.PREEMPTED):
        return PreemptedError(f"{module} was told to stop", remedy="run the same command again: it continues")
    if code < 0:
        return InternalError(
            f"{module} was ended by signal {signal.Signals(-code).name}",
            remedy="run the same command again; if memory ran out, use a smaller batch",
        )
    return _BY_CODE.get(code, InternalError)(f"{module} left with exit code {code}", remedy="read its log above")


def write_failure(path: Path, step: str, error: HoplineError) -> None:
    """Leaves `failure.json`, from which `read_failure` makes the same error in another process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_failure_record(step, error), indent=2) + "\n", encoding="utf-8")


def _failure_record(step: str, error: HoplineError) -> dict[str, Any]:
    kind = {"error": type(error).__name__, "code": int(error.code)}
    return {"step": step, **kind, "message": error.message, "remedy": error.remedy}


def read_failure(path: Path) -> HoplineError | None:
    """The error that a step left at `path`, if it left one."""
    try:
        return parse_failure(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def parse_failure(text: str) -> HoplineError | None:
    """The error that the text of a `failure.json` tells; None if it does not, as of a process killed while it wrote."""
    try:
        return failure_from(json.loads(text))
    except ValueError:
        return None


def failure_from(content: Any) -> HoplineError | None:
    """The error that the content of a `failure.json`, or a record of it, tells; None if it does not."""
    try:
        return _BY_NAME.get(content["error"], _BY_CODE[content["code"]])(content["message"], remedy=content["remedy"])
    except (KeyError, TypeError):
        return None


@contextlib.contextmanager
def _passing_on_termination(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Hands SIGTERM to `child` instead of dying of it.  Only a main thread can: elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _start_time(pid: int) -> str:
    """The process's start time in clock ticks, which tells a reused pid apart; "" where /proc is missing."""
    try:
        # The command name, in parentheses, may hold spaces: count fields from its end.
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _alive(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not started or _start_time(pid) == started


def _leave_with(pid: int, started: str) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, AttributeError):  # no such process any more, or a system without pidfd
        while _alive(pid, started):
            time.sleep(_POLL_SECONDS)
    else:
        # Compared after opening: from here on the number cannot pass to another process unseen.
        if _alive(pid, started):
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            ended.poll()
    os._exit(ExitCode.PREEMPTED)
