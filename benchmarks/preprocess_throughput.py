"""The preprocess step beside a plain Python loop that makes the same two passes over the same text.

    python -m benchmarks.preprocess_throughput --megabytes 20 --megabytes 100
    python -m benchmarks.preprocess_throughput --megabytes 100 --types 2000000 --only "1 thread" --only "loop"

Zipf text is made on the fly; each of its types occurs, words are lowercase letters between blanks.  The loop counts
words with `collections.Counter`, and then looks each up in a `dict` and writes its id: no document, look-behind,
statistics, hash of a passage or digest of a file.  Both must find the same vocabulary and the same unknown words.

Every row is a process of its own, and its children: their processor time (what a shared machine leaves of the clock
says little), the clock, and the peak of the memory that they hold together (proportional set size).  "start-up" is the
same arrangement on a text of 4,000 words; the column "net" is without it.
"""

import argparse
import collections
import contextlib
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

MAX_WORDS, MIN_COUNT = 10_000, 2
OURS = {
    "1 thread": ("--direct_num_workers=1",),
    "2 threads": ("--direct_num_workers=2",),
    "2 processes": ("--direct_num_workers=2", "--direct_running_mode=multi_processing"),
}
LOOPS = {"loop": 1, "loop, 2 processes": 2}
SMALL_WORDS = 4_000
_BASE, _LINE_WORDS, _BLOCK_WORDS = 7, 20, 1 << 20
_SAMPLE_SECONDS = 0.2
_MIB = 2**20


def write_text(path: Path, size: int, types: int, seed: int = 1) -> None:
    """Writes about `size` bytes in which all types occur, besides once each as often as 1 / (rank + 2.7) says."""
    digits = 9  # of up to 40 million types
    numbers = np.arange(types) + _BASE**2  # so that a word has three letters or more, and frequent words fewer
    places = numbers[:, np.newaxis] // _BASE ** np.arange(digits - 1, -1, -1)
    letters = np.full((types, digits + 1), ord(" "), np.uint8)
    letters[:, :-1] = ord("a") + (places + 5 * np.arange(digits)) % _BASE + np.arange(digits) % 4 * 6 % 19
    used = np.ones(letters.shape, np.bool_)
    used[:, :-1] = places > 0
    sums = np.cumsum(1 / (np.arange(types) + 2.7))
    random = np.random.default_rng(seed)
    total = int(size / np.average(used.sum(1), weights=np.diff(sums, prepend=0)))
    once = np.array_split(random.permutation(types), -(-total // _BLOCK_WORDS))
    with path.open("wb") as file:
        for present in once:
            count = total // len(once)
            drawn = np.searchsorted(sums, random.random(max(0, count - len(present))) * sums[-1])
            words = random.permutation(np.concatenate([present, drawn]))
            block = letters[words]
            block[random.random(len(words)) < 1 / _LINE_WORDS, -1] = ord("\n")
            file.write(block[used[words]].tobytes())
        file.write(b"\n")


# --- The loop


def _lines(path: Path, part: int, parts: int) -> Iterator[bytes]:
    """The lines that begin in that part of the file."""
    size = path.stat().st_size
    start, end = size * part // parts, size * (part + 1) // parts
    with path.open("rb") as file:
        if start:
            file.seek(start - 1)
            file.readline()
        while file.tell() < end and (block := file.readlines(min(1 << 16, end - file.tell()))):
            yield from block


def _count(path: Path, part: int, parts: int) -> "collections.Counter[bytes]":
    counts: collections.Counter[bytes] = collections.Counter()
    for line in _lines(path, part, parts):
        counts.update(line.split())
    return counts


def _encode(path: Path, part: int, parts: int, words: list[bytes], target: Path) -> tuple[int, int]:
    ids = {word: number for number, word in enumerate(words, 3)}
    tokens = unknown = 0
    with target.open("wb") as file:
        for line in _lines(path, part, parts):
            found = array("i", [ids.get(word, 1) for word in line.split()])
            unknown += found.count(1)
            found.append(2)
            tokens += len(found)
            found.tofile(file)
    return tokens, unknown


def _loop(texts: list[Path], processes: int, folder: Path) -> dict[str, Any]:
    """The two passes over the training text, and the second over the validation text."""
    times: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        starmap: Callable[..., Any] = lambda call, parts: [call(*part) for part in parts]  # noqa: E731
        if processes > 1:
            pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(processes))
            starmap = pool.starmap
        with _timed("counting", times):
            counts: collections.Counter[bytes] = collections.Counter()
            for found in starmap(_count, [(texts[0], part, processes) for part in range(processes)]):
                counts.update(found)
            kept = sorted(((n, word) for word, n in counts.items() if n >= MIN_COUNT), reverse=True)[:MAX_WORDS]
        words = [word for _, word in kept]
        with _timed("encoding", times):
            parts = [
                (text, part, processes, words, folder / f"{text.name}-{part}")
                for text in texts
                for part in range(processes)
            ]
            done = starmap(_encode, parts)
        if processes > 1:
            pool.close()
            pool.join()  # so that the processor time of its processes is known
    return times | {"words": len(words), "tokens": sum(n for n, _ in done), "unknown": sum(n for _, n in done)}


# --- Ours


def _ours(texts: list[Path], options: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """The program of the step."""
    # Not for the loop, whose process shall hold none of it.
    from components.preprocess import __main__ as program  # noqa: PLC0415
    from components.preprocess import passes  # noqa: PLC0415
    from hopline.config.corpus import CorpusConfig  # noqa: PLC0415
    from hopline.config.preprocess import PreprocessConfig  # noqa: PLC0415
    from hopline.corpus.files import fingerprint, source_files  # noqa: PLC0415

    times: dict[str, Any] = {}
    passes.count_words = _noting("counting", times, passes.count_words)
    passes.encode_all = _noting("encoding", times, passes.encode_all)
    corpus = CorpusConfig(train=str(texts[0]), valid=str(texts[1]))
    config = PreprocessConfig(
        tokeniser="whitespace", max_words=MAX_WORDS, min_count=MIN_COUNT, max_type_ratio=1.0, max_unknown_rate=1.0,
        max_leak=1.0, runner_options=options,
    )  # fmt: skip
    arguments = {
        "corpus-config": corpus.to_json(),
        "preprocess-config": config.to_json(),
        "fingerprint": fingerprint(corpus, source_files(corpus, folder)),
        "output": str(folder / "examples"),
        "work-dir": str(folder / "work"),
    }
    code = program.main([part for name, value in arguments.items() for part in (f"--{name}", value)])
    assert code == 0, f"the step ended with {code}"
    manifest = json.loads((folder / "examples" / "manifest.json").read_text(encoding="utf-8"))
    statistics = manifest["facts"]["statistics"].values()
    return times | {
        "words": manifest["facts"]["vocabulary_size"] - 3,
        "tokens": sum(counts["tokens"] for counts in manifest["counts"].values()),
        "unknown": sum(entry["unknown_tokens"] for entry in statistics),
    }


# --- Measuring


def _processor() -> float:
    """Seconds of processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in used)


def _living() -> float:
    """Seconds of processor time of the children that live."""
    total = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = child.cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def _timed(phase: str, times: dict[str, Any]) -> Iterator[None]:
    """Notes processor time and time of what the block runs."""
    processor, clock = _processor() + _living(), time.perf_counter()
    yield
    times[phase] = [_processor() + _living() - processor, time.perf_counter() - clock]


def _noting(phase: str, times: dict[str, Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, whose times are noted."""

    def timed(*args: Any, **named: Any) -> Any:
        with _timed(phase, times):
            return call(*args, **named)

    return timed


def _row(name: str, texts: list[Path]) -> dict[str, Any]:
    """Runs an arrangement in a process of its own: its own times and counts, and processor, clock and memory of all."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.preprocess_throughput", "--row", name, "--folder", folder]
        command += [part for text in texts for part in ("--text", str(text))]
        clock = time.perf_counter()
        started = resource.getrusage(resource.RUSAGE_CHILDREN)
        log = Path(folder, "log")
        with log.open("wb") as stream:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, text=True)
        peaks, stop = [0], threading.Event()

        def watch() -> None:
            while not stop.wait(_SAMPLE_SECONDS):
                peaks.append(_held(child.pid))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        answer = child.communicate()[0].splitlines()
        stop.set()
        watcher.join()
        assert child.returncode == 0, f"{name} failed: {log.read_text(errors='replace')[-2000:]}"
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = ended.ru_utime + ended.ru_stime - started.ru_utime - started.ru_stime
    return json.loads(answer[-1]) | {"all": [processor, time.perf_counter() - clock], "peak": max(peaks)}


def _held(pid: int) -> int:
    """Bytes that a process and its children hold together; what they share counts once."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += one.memory_full_info().pss
    return total


def _print_table(megabytes: int, types: int, rows: dict[str, dict[str, Any]], small: dict[str, dict[str, Any]]) -> None:
    """Processor seconds, the clock in brackets; the ratio is to the loop in two processes, or in one without it."""
    net = {name: row["all"][0] - small[name]["all"][0] for name, row in rows.items()}
    yardstick = next((net[name] for name in reversed(LOOPS) if name in net), float("nan"))
    print(f"\n{megabytes} MB, {types:,} types: processor seconds (of the clock)\n")
    print("| | whole | start-up | net | to the loop | counting | encoding | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        cells = ["{:.1f} ({:.1f})".format(*row[part]) for part in ("counting", "encoding")]
        whole, start = ("{:.1f} ({:.1f})".format(*found["all"]) for found in (row, small[name]))
        print(
            f"| {name} | {whole} | {start} | {net[name]:.1f} ({row['all'][1] - small[name]['all'][1]:.1f}) | "
            f"{net[name] / yardstick:.2f} | {cells[0]} | {cells[1]} | {row['peak'] / _MIB:,.0f} |",
            flush=True,
        )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, action="append", help="of text (default 20); may be repeated")
    parser.add_argument("--types", type=int, default=200_000, help="different words of the text")
    parser.add_argument("--only", action="append", help=f"of {', '.join([*LOOPS, *OURS])}; may be repeated")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--text", type=Path, action="append", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"  # as the program does
        name = options.row
        found = (
            _loop(options.text, LOOPS[name], options.folder)
            if name in LOOPS
            else _ours(options.text, OURS[name], options.folder)
        )
        print(json.dumps(found), flush=True)
        os._exit(0)  # a process that ran an analysis crashes in its own finalisation
    names = options.only or [*LOOPS, *OURS]
    with tempfile.TemporaryDirectory() as folder:

        def texts(size: int, types: int) -> list[Path]:
            made = [Path(folder, f"{split}-{size}") for split in ("train", "valid")]
            write_text(made[0], size, types)
            write_text(made[1], size // 100 + 100, min(types, size // 1000 + 10), seed=2)
            return made

        few = texts(6 * SMALL_WORDS, SMALL_WORDS // 4)
        small = {name: _row(name, few) for name in names}
        for megabytes in options.megabytes or [20]:
            many = texts(megabytes * 10**6, options.types)
            rows = {name: _row(name, many) for name in names}
            found = {name: (row["words"], row["tokens"], row["unknown"]) for name, row in rows.items()}
            assert len(set(found.values())) == 1, found
            _print_table(megabytes, options.types, rows, small)
            for text in many:
                text.unlink()


if __name__ == "__main__":
    main()
