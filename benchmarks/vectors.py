"""Memory and time of reading word vectors, as the size of the file grows; the reader is a process of its own.

    python -m benchmarks.vectors --form binary --gigabytes 0.1 1 10 --folder DIR

Each file is written below --folder and removed; its words are all different and 300 wide, as word2vec's are.
"""

import argparse
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hopline.model.vectors import KEY, check_vectors
from hopline.store.sources import locate

WIDTH = 300
_PARTS = 1_000  # words written at once


def write(path: Path, form: str, size: int) -> int:
    """Writes a file of about `size` bytes; how many words it has."""
    numbers = [(number % 199 - 99) / 128 for number in range(WIDTH)]
    vector = struct.pack(f"<{WIDTH}f", *numbers) if form == "binary" else " ".join(map(str, numbers)).encode() + b"\n"
    words = max(_PARTS, size // (len(vector) + 12) // _PARTS * _PARTS)
    with path.open("wb") as stream:
        stream.write(b"%d %d\n" % (words, WIDTH))
        for first in range(0, words, _PARTS):
            stream.write(b"".join(b"word%07d %s" % (first + number, vector) for number in range(_PARTS)))
    return words


def read(place: str) -> None:
    """Reads a file and prints words, MiB of peak memory, seconds, and seconds of processor time."""
    began = time.monotonic()
    words = check_vectors(locate(KEY, place), WIDTH, "read")
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(words, used.ru_maxrss / 1024, time.monotonic() - began, used.ru_utime + used.ru_stime)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=("text", "binary"), default="binary")
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.1, 1.0], metavar="SIZE")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()), help="with room for the largest file"
    )
    parser.add_argument("--read", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read)
        return
    print(
        "| form | GB | words | peak MiB | seconds | seconds of processor time |\n| --- | --- | --- | --- | --- | --- |"
    )
    for gigabytes in options.gigabytes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            path = Path(folder, "vectors")
            write(path, options.form, int(gigabytes * 1e9))
            command = [sys.executable, "-m", "benchmarks.vectors", "--read", str(path)]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
            size = path.stat().st_size / 1e9
        words, peak, seconds, used = map(float, done.stdout.split())
        print(
            f"| {options.form} | {size:.2f} | {words:,.0f} | {peak:,.0f} | {seconds:,.0f} | {used:,.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
