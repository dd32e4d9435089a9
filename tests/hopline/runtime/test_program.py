"""The frame of a step's program: exit codes, messages, failure.json."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hopline.runtime.errors import DivergedError, PreemptedError, SaveError, StaleBlessingError, UserError
from hopline.runtime.process import FAILURE_FILE, read_failure
from hopline.runtime.program import parser, run, terminate_as_interrupt


def call(main, work):
    return run("a step", parser("a_step", "What it does."), main, ["--work-dir", str(work)])


def fail_with(error):
    def main(options):
        raise error

    return main


def test_success_is_code_0_and_leaves_no_failure(tmp_path):
    seen = []
    assert call(lambda options: seen.append(options.work_dir), tmp_path) == 0
    assert seen == [tmp_path]
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_are_the_steps_own_and_gone_at_its_end(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "of a process that was killed").touch()
    seen, before = [], tempfile.gettempdir()

    def main(options):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            seen.extend(path.name for path in Path(file.name).parent.iterdir())
            seen.append(Path(file.name).parent)
        raise UserError("x", remedy="y")

    assert call(main, tmp_path) == 2
    assert len(seen) == 2
    assert seen[-1] == tmp_path / "tmp"
    assert [path.name for path in tmp_path.iterdir()] == [FAILURE_FILE]
    assert tempfile.gettempdir() == before


@pytest.mark.parametrize(
    ("error", "code"), [(UserError, 2), (DivergedError, 3), (StaleBlessingError, 4), (PreemptedError, 143)]
)
def test_an_error_of_ours_has_its_code_and_leaves_itself(error, code, tmp_path, capsys):
    assert call(fail_with(error("x is 3", remedy="set x")), tmp_path / "new") == code
    assert capsys.readouterr().err == "error: x is 3\n  remedy: set x\n"
    left = read_failure(tmp_path / "new" / FAILURE_FILE)
    assert left is not None
    assert (type(left), left.message, left.remedy) == (error, "x is 3", "set x")


def test_any_other_error_is_internal_and_shows_where(tmp_path, capsys):
    assert call(fail_with(KeyError("k")), tmp_path) == 1
    errors = capsys.readouterr().err
    assert "Traceback" in errors
    assert "a step: KeyError: 'k'" in errors
    assert read_failure(tmp_path / FAILURE_FILE).code == 1


def test_an_interrupt_is_code_130_without_a_traceback(tmp_path, capsys):
    assert call(fail_with(KeyboardInterrupt()), tmp_path) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_termination_cleans_up_like_an_interrupt_and_is_code_143(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    cleaned = []

    def main(options):
        terminate_as_interrupt()
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # a second one does not cut this short
            cleaned.append(True)

    try:
        assert call(main, tmp_path) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert cleaned == [True]
    assert isinstance(read_failure(tmp_path / FAILURE_FILE), PreemptedError)


def test_a_work_folder_that_cannot_be_written_does_not_hide_the_error(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert call(fail_with(UserError("x is 3", remedy="set x")), tmp_path / "file" / "work") == 2
    assert "x is 3" in capsys.readouterr().err


def test_arguments_cannot_be_abbreviated(tmp_path):
    with pytest.raises(SystemExit) as left:
        run("a step", parser("a_step", ""), lambda options: None, ["--work", str(tmp_path)])
    assert left.value.code == 2


def test_a_failure_is_left_for_the_caller_even_if_the_log_cannot_be_written(tmp_path):
    body = (
        "import sys\nfrom hopline.runtime import errors, program\n"
        "def main(options):\n    raise errors.SaveError('no room')\n"
        "sys.exit(program.run('train', program.parser('train', ''), main))\n"
    )
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", body, "--work-dir", str(tmp_path)]
        assert subprocess.run(command, stderr=full, check=False).returncode != 0
    assert isinstance(read_failure(tmp_path / FAILURE_FILE), SaveError)
