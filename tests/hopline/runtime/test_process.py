"""Children that leave with their parent, and errors that cross between processes."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hopline.config.corpus import CorpusConfig
from hopline.config.preprocess import PreprocessConfig
from hopline.config.resolve import ResolveConfig
from hopline.config.train import TrainConfig
from hopline.runtime.errors import DivergedError, ExitCode, InternalError, PreemptedError, UserError
from hopline.runtime.process import (
    FAILURE_FILE,
    PARENT_VARIABLE,
    child_environment,
    failure_of,
    read_failure,
    run_step,
    write_failure,
)

FOLLOW = "from hopline.runtime.process import follow_parent; follow_parent()\n"
WAITING_CHILD = FOLLOW + "import time; print('ready', flush=True); time.sleep(600)"
SHELL = 'exec 3>&1; "$0" -c "$1" >&3; true'  # `true` keeps the shell from becoming the child
PARENT = """
import subprocess, sys
from hopline.runtime.process import child_environment
subprocess.run({command!r}, env=child_environment())
"""


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules `run_step` can run."""
    folder = tmp_path / "steps"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(Path(__file__).parents[3])]))
    return folder


def write_step(steps: Path, body: str) -> str:
    """A step's program, the function body `body`, and its module's name."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    (steps / "a_step.py").write_text(
        "import os, pathlib, signal, sys, time\n"
        "from hopline.runtime import errors, program\n"
        f"def main(options):\n{indented}"
        "arguments = program.parser('a_step', '')\n"
        "arguments.add_argument('--some-value', required=True)\n"
        "sys.exit(program.run('a_step', arguments, main))\n"
    )
    return "a_step"


def ends_within(stream, seconds: float) -> bool:
    """Whether the last process that holds the other end of `stream` leaves in time."""
    readable, _, _ = select.select([stream], [], [], seconds)
    return bool(readable) and stream.read() == b""


@pytest.mark.parametrize(
    "command",
    [[sys.executable, "-c", WAITING_CHILD], ["sh", "-c", SHELL, sys.executable, WAITING_CHILD]],
    ids=["child", "child behind a shell"],
)
def test_a_child_leaves_when_its_parent_is_killed(command):
    with subprocess.Popen([sys.executable, "-c", PARENT.format(command=command)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        parent.kill()
        assert ends_within(parent.stdout, 10)


def test_a_child_whose_parent_was_gone_before_it_looked_leaves_at_once():
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    environment = {**os.environ, PARENT_VARIABLE: f"{gone.pid}:1"}
    done = subprocess.run([sys.executable, "-c", WAITING_CHILD], env=environment, timeout=60, check=False)
    assert done.returncode == ExitCode.PREEMPTED


def test_another_process_with_the_parents_number_is_not_the_parent():
    environment = {**os.environ, PARENT_VARIABLE: f"{os.getpid()}:1"}  # started at another time
    done = subprocess.run([sys.executable, "-c", WAITING_CHILD], env=environment, timeout=60, check=False)
    assert done.returncode == ExitCode.PREEMPTED


def test_a_process_without_a_named_parent_follows_nobody():
    environment = {name: value for name, value in os.environ.items() if name != PARENT_VARIABLE}
    code = FOLLOW + "import threading; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize("value", ["", "--flag", "-- a 'b'\n$HOME", '{"a":1}'])
def test_a_step_gets_its_arguments_and_work_folder(steps, tmp_path, value):
    body = "pathlib.Path(options.work_dir, 'seen').write_text(options.some_value)"
    (tmp_path / "work").mkdir()
    run_step(write_step(steps, body), {"some_value": value}, str(tmp_path / "work"))
    assert (tmp_path / "work" / "seen").read_text() == value


def test_a_folder_in_the_current_one_does_not_shadow_a_step(steps, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a_step.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path / "here")
    run_step(write_step(steps, "pass"), {"some_value": ""}, str(tmp_path / "work"))


@pytest.mark.parametrize(
    ("body", "kind", "message", "remedy"),
    [
        ("raise errors.UserError('x is 3', remedy='set x')", UserError, "x is 3", "set x"),
        ("raise errors.DivergedError('nan', remedy='less')", DivergedError, "nan", "less"),
        ("1 / 0", InternalError, "a_step: ZeroDivisionError: division by zero", "traceback"),
        ("os.kill(os.getpid(), signal.SIGKILL)", InternalError, "a_step was ended by signal SIGKILL", "memory"),
        ("os.kill(os.getpid(), signal.SIGTERM)", PreemptedError, "a_step was told to stop", "continues"),
        ("os._exit(9)", InternalError, "a_step left with exit code 9", "log"),
        ("os._exit(3)", DivergedError, "a_step left with exit code 3", "log"),
        ("sys.exit(130)", PreemptedError, "a_step was told to stop", "continues"),
    ],
)
def test_a_steps_failure_is_the_same_error_here(steps, tmp_path, body, kind, message, remedy):
    with pytest.raises(kind) as caught:
        run_step(write_step(steps, body), {"some_value": ""}, str(tmp_path / "work"))
    assert caught.value.message == message
    assert remedy in caught.value.remedy
    left = read_failure(tmp_path / "work" / FAILURE_FILE)  # also where the step itself could not say why
    assert (type(left), str(left)) == (kind, message)


def test_a_failure_of_an_earlier_step_is_not_this_ones(steps, tmp_path):
    write_failure(tmp_path / FAILURE_FILE, "earlier", UserError("old"))
    run_step(write_step(steps, "pass"), {"some_value": ""}, str(tmp_path))
    assert not (tmp_path / FAILURE_FILE).exists()


@pytest.mark.parametrize("in_main_thread", [True, False])
def test_a_step_can_be_run_from_any_thread(steps, tmp_path, in_main_thread):
    errors: list[BaseException] = []

    def run() -> None:
        try:
            run_step(write_step(steps, "raise errors.UserError('no')"), {"some_value": ""}, str(tmp_path))
        except UserError as error:
            errors.append(error)

    if in_main_thread:
        run()
    else:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert [str(error) for error in errors] == ["no"]


def test_told_to_stop_the_caller_waits_for_the_step(steps, tmp_path):
    body = (
        "program.terminate_as_interrupt()\n"
        "try:\n"
        "    print('ready', flush=True); time.sleep(600)\n"
        "finally:\n"
        "    time.sleep(0.5); pathlib.Path(options.work_dir, 'saved').touch()"
    )
    call = f"run_step({write_step(steps, body)!r}, {{'some_value': ''}}, {str(tmp_path)!r})"
    code = f"from hopline.runtime.process import run_step; {call}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        caller.terminate()
        time.sleep(0.2)
        caller.terminate()  # impatience does not cut the cleaning up short
        _, errors = caller.communicate(timeout=60)
    assert (tmp_path / "saved").exists()
    assert caller.returncode == 1  # an exception, as Kubeflow wants it
    assert b"PreemptedError: a_step was told to stop" in errors
    assert b"remedy: run the same command again" in errors


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"code": 99, "message": "", "remedy": ""}', '{"code": 2}'])
def test_a_damaged_failure_file_tells_nothing(tmp_path, content):
    (tmp_path / FAILURE_FILE).write_text(content)
    assert read_failure(tmp_path / FAILURE_FILE) is None


def test_a_failure_file_names_the_step(tmp_path):
    write_failure(tmp_path / "new" / FAILURE_FILE, "train", UserError("a", remedy="b"))
    content = json.loads((tmp_path / "new" / FAILURE_FILE).read_text())
    assert content == {"step": "train", "error": "UserError", "code": 2, "message": "a", "remedy": "b"}


def test_a_signal_without_a_name_of_ours_is_named_all_the_same():
    assert "SIGSEGV" in failure_of("components.preprocess", -signal.SIGSEGV).message


def test_a_child_environment_names_this_process_and_keeps_the_rest(monkeypatch):
    monkeypatch.setenv("SOMETHING", "kept")
    environment = child_environment({"MORE": "1"})
    assert environment[PARENT_VARIABLE].startswith(f"{os.getpid()}:")
    assert (environment["SOMETHING"], environment["MORE"], environment["PYTHONSAFEPATH"]) == ("kept", "1", "1")


FOREIGN = {
    "LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr", "TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}}',
    "TF_USE_LEGACY_KERAS": "1", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2", "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
    "KERAS_FLOATX": "float16", "OMP_NUM_THREADS": "1", "HOPLINE_CLUSTER": "a:1,b:1", "JOB_COMPLETION_INDEX": "1",
    "MKL_NUM_THREADS": "1", "ONEDNN_VERBOSE": "1", "TF_ENABLE_ONEDNN_OPTS": "0", "NVIDIA_TF32_OVERRIDE": "0",
    "TF_DETERMINISTIC_OPS": "0", "PYTHONINTMAXSTRDIGITS": "640", "PYTHONDEVMODE": "1", "PYTHONHASHSEED": "7",
    "PYTHONOPTIMIZE": "2", "PYTHONSTARTUP": "none.py", "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "ascii",
}  # fmt: skip


def test_a_child_inherits_no_setting_that_changes_what_it_computes(monkeypatch):
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    found = child_environment()
    assert not FOREIGN.keys() & found.keys()
    assert (found["LANG"], found["KERAS_BACKEND"], found["KERAS_HOME"]) == ("C.UTF-8", "tensorflow", os.devnull)


def test_a_child_inherits_credentials_endpoints_and_where_modules_are(monkeypatch):
    kept = {"AWS_SECRET_ACCESS_KEY": "s", "STORAGE_EMULATOR_HOST": "h", "PYTHONPATH": "/p", "CUDA_VISIBLE_DEVICES": "1"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    assert kept.items() <= child_environment().items()


def test_a_launcher_gives_its_children_what_they_would_not_inherit(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "of somebody else")
    assert child_environment({"TF_CONFIG": "own"})["TF_CONFIG"] == "own"


@pytest.mark.parametrize("before", [None, "internal.example"])
def test_loopback_is_never_sent_to_a_proxy(before, monkeypatch):
    monkeypatch.delenv("NO_PROXY", raising=False)
    if before:
        monkeypatch.setenv("no_proxy", before)
    else:
        monkeypatch.delenv("no_proxy", raising=False)
    found = child_environment()
    assert found["no_proxy"] == found["NO_PROXY"]
    assert found["no_proxy"].split(",") == [*([before] if before else []), "localhost", "127.0.0.1", "::1"]


def test_the_users_own_keras_settings_are_not_read_by_a_child(tmp_path, monkeypatch):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"backend": "torch", "floatx": "float16"}')
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    code = "import keras; assert __debug__; print(keras.config.backend(), keras.config.floatx())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["tensorflow", "float32"]


def resolved(folder: Path, work: Path) -> bytes:
    """What the step resolve says of the corpus in the folder."""
    corpus = CorpusConfig(train=str(folder / "texts"), valid_fraction=0.5, test_fraction=0.0)
    output = work / "resolution"
    sections = {"corpus_config": corpus, "resolve_config": ResolveConfig(), "preprocess_config": PreprocessConfig()}
    arguments = {name: section.to_json() for name, section in sections.items()}
    arguments |= {"train_config": TrainConfig().to_json(), "registry": str(folder / "registry"), "output": str(output)}
    work.mkdir()
    run_step("components.resolve", arguments, str(work))
    return (output / "resolution.json").read_bytes()


def test_a_step_says_the_same_of_the_same_input_whatever_its_user_has_set(tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    for name in ("INSIDE", "TITLE", "\u0130ron", "a b", "e\u0301"):
        (tmp_path / "texts" / name).write_text(f"{name} TITLE INSIDE\n")
    before = resolved(tmp_path, tmp_path / "plain")
    http = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://192.0.2.1:1")
    for name, value in {**FOREIGN, **http, "LANG": "tr_TR.UTF-8", "TZ": "Asia/Kolkata"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HOME", raising=False)
    mask = os.umask(0o077)
    try:
        assert resolved(tmp_path, tmp_path / "set") == before
    finally:
        os.umask(mask)
