"""The commands that use a model, as a person runs them."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from hopline.runtime.errors import ExitCode

TEXT = "w00 w07 w03 nobody\nw01\n"


def hopline(*arguments, text: bytes | None = None, cwd=None, **kwargs):
    command = [sys.executable, "-m", "pipelines.cli", *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, cwd=cwd, check=False, timeout=300, **kwargs)


def test_what_is_not_there_is_said_before_anything_is_loaded(tmp_path):
    for arguments in (("score", "--output", tmp_path / "nowhere"), ("generate", "a", "--registry", tmp_path)):
        began = time.monotonic()
        done = hopline(*arguments)
        assert done.returncode == ExitCode.USER
        assert done.stderr.startswith(b"error:   ")
        assert b"\nremedy:  " in done.stderr
        assert not done.stdout
        assert time.monotonic() - began < 60  # on a busy machine; without TensorFlow
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_score_reads_files_and_standard_input_and_is_quiet(used, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    done = hopline("score", tmp_path / "text.txt", "--output", used[0], "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    found = json.loads(done.stdout)
    assert (found["tokens"], found["unknown"], found["model"]["version"]) == (7, 1, 1)
    again = hopline("score", "--registry", used[0] / "registry", "--format", "tsv", text=TEXT.encode())
    assert len(again.stdout.splitlines()) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["score"], b"", b"the text is empty"),
        (["score", "--format", "tsv"], b"nobody knows\nthis\n", b"none of the 3 words"),
        (["score", "--version", "7"], None, b"no version 7: its versions are 1"),
        (["generate", "--cache", "0"], None, b"the cache's window is 0"),
        (["generate", "--tokens", "-1"], None, b"tokens is -1"),
        (["score"], b"w00 \xff\n", b"standard input is not UTF-8: byte 4"),
        (["score", "missing.txt"], None, b"missing.txt does not exist"),
        (["generate", "--temperature", "-1"], None, b"temperature is -1.0"),
        (["rescore", "-", "--lm-weight", "1"], b"no hypothesis here\n", b"line 1 is no hypothesis"),
    ],
)
def test_bad_input_is_the_users_fault(used, arguments, text, message):
    done = hopline(*arguments, "--output", used[0], text=text)
    assert done.returncode == ExitCode.USER, done.stderr
    assert message in done.stderr
    assert not done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["--context", "line"]])
def test_a_line_of_200_megabytes_without_a_blank_is_refused_before_it_fills_the_memory(used, tmp_path, arguments):
    with (tmp_path / "long.txt").open("wb") as stream:
        stream.truncate(200 << 20)
    done = hopline("score", tmp_path / "long.txt", "--output", used[0], *arguments)
    assert done.returncode == ExitCode.USER, done.stderr
    assert b"of more than 4,194,304 characters" in done.stderr
    assert not done.stdout


@pytest.mark.slow
def test_generate_with_a_cache_says_so_and_keeps_to_its_seed(used):
    command = ("generate", "w01 w02 w03", "--tokens", 6, "--cache", 50, "--cache-weight", "0.5", "--output", used[0])
    first, second = (json.loads(hopline(*command, "--json").stdout) for _ in range(2))
    assert first["cache"] == {"window": 50, "weight": 0.5, "flatness": 10.0}
    assert first["continuations"] == second["continuations"]


@pytest.mark.slow
def test_generate_writes_the_text_and_the_same_words_for_the_same_seed(used):
    command = ("generate", "w01 w02", "--tokens", 6, "--seed", 4, "--output", used[0])
    first = hopline(*command)
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(b"w01 w02 ")
    several = hopline(*command, "-n", 2).stdout.decode()
    assert f"[1] {first.stdout.decode()}" in several


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(used, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT * 50_000)
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "score",
        "--per",
        "word",
        "--output",
        used[0],
        tmp_path / "text.txt",
    ]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout.readline()
        child.stdout.close()
        assert child.wait(120) == 0
        assert child.stderr.read() == b""


@pytest.mark.slow
def test_an_interrupt_ends_both_processes(used):
    command = [sys.executable, "-m", "pipelines.cli", "score", "--output", str(used[0])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as child:
        time.sleep(3)  # it waits for text, or loads
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(60) == ExitCode.INTERRUPTED
        assert b"Traceback" not in child.stderr.read()
        with pytest.raises(ProcessLookupError):
            os.killpg(child.pid, 0)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["score"], ["rescore", "--lm-weight", "1"]])
def test_a_pipe_that_is_given_by_path_is_text_like_any_other(used, arguments):
    text = b"a ||| w00 w01 ||| m= 1 ||| -2.0\n" if "rescore" in arguments else TEXT.encode()
    by_path = hopline(*arguments[:1], "/dev/stdin", *arguments[1:], "--output", used[0], text=text)
    assert by_path.returncode == 0, by_path.stderr
    assert by_path.stdout


@pytest.mark.slow
def test_a_folder_is_no_text(used, tmp_path):
    done = hopline("score", tmp_path, "--output", used[0])
    assert done.returncode == ExitCode.USER
    assert b"is a folder" in done.stderr
