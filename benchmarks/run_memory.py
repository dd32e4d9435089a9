"""What memory a whole run takes, on a text with the tokens and word types of WikiText-2.

    python -m benchmarks.run_memory --config configs/wikitext2.toml --steps 60

Draws a text by Zipf's law (2,088,628 training tokens and 217,646 held-out ones of 33,278 types), runs the pipeline
on it, with few steps of training, and prints for each step of the pipeline the peak of the resident memory of all its
processes together, sampled ten times a second (shared pages are counted in each process: an upper bound).
"""

import argparse
import collections
import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

TRAIN_TOKENS, VALID_TOKENS, TYPES = 2_088_628, 217_646, 33_278  # WikiText-2, https://arxiv.org/abs/1609.07843, table 1
_LINE = 25  # tokens


def write_text(path: Path, tokens: int, types: int, seed: int) -> None:
    """Writes lines of words drawn by Zipf's law; where it is long enough, every type is in it."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, types + 1)
    drawn = rng.choice(types, tokens, p=weights / weights.sum())
    drawn[:types] = rng.permutation(types) if tokens >= 2 * types else drawn[:types]
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, tokens, _LINE):
            file.write(" ".join(f"w{word}" for word in drawn[start : start + _LINE]) + "\n")


def peaks(command: list[str]) -> dict[str, int]:
    """Runs the command; the highest sum of resident bytes while each step ran, and of the whole."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    found: dict[str, int] = collections.defaultdict(int)
    while process.poll() is None:
        total, programs = 0, set()
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            for child in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                total += child.memory_info().rss
                programs |= {word for word in child.cmdline() if word.startswith("components.")}
        step = min(programs, key=len, default="").removeprefix("components.") or "the command alone"
        for name in (step, "run"):
            found[name] = max(found[name], total)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/wikitext2.toml")
    parser.add_argument("--steps", type=int, default=60, help="of training")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, (part, tokens) in enumerate({"train": TRAIN_TOKENS, "valid": VALID_TOKENS}.items()):
            write_text(folder / part, tokens, TYPES, number)
        values = {"corpus.train": folder / "train", "corpus.valid": folder / "valid", "train.max_steps": options.steps}
        settings = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
        hopline = str(Path(sys.executable).with_name("hopline"))
        started = time.monotonic()
        found = peaks([hopline, "run", "--config", options.config, *settings, "--output", str(folder / "output")])
    print("| step | peak, GiB |\n| --- | --- |")
    for step, peak in found.items():
        print(f"| {step} | {peak / 2**30:.2f} |")
    print(f"\n{options.steps} steps of training; {time.monotonic() - started:,.0f} s in all")


if __name__ == "__main__":
    main()
