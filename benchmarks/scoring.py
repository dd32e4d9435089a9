"""How fast, and how well, a text is scored: by the export, by the textbook model, by KenLM.

    python -m benchmarks.scoring MODEL TEXT [--targets 400] [--kenlm FOLDER TRAIN]

MODEL is an output, a registry or a model folder.  TEXT is scored by `hopline score`'s own way, and its first targets by
the same weights one target at a time, as the paper writes the model: for each target its M words are embedded, and each
hop attends to them.  FOLDER holds KenLM's `lmplz`, `build_binary` and `query`; a 5-gram of TRAIN is made and asked.
KenLM's words are those between blanks: use it for text that is split already.

Start-up is left out: the model is loaded, and one call made, before the clock runs.
"""

import argparse
import re
import subprocess
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import hopline
import hopline.model.network  # registers MemoryNetwork
from hopline.model.scoring import window_nll
from hopline.schema import MODEL_FILE, RESERVED_WORDS, UNKNOWN
from hopline.use import pieces
from hopline.use.model import Model

UNKNOWN_OF_KENLM = "<unknown>"
COPIES = 20  # of the text that KenLM is asked for


def main() -> None:
    """Prints a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text", type=Path)
    parser.add_argument("--targets", type=int, default=400, help="scored one at a time (%(default)s)")
    parser.add_argument("--kenlm", nargs=2, type=Path, metavar=("FOLDER", "TRAIN"))
    options = parser.parse_args()
    model = hopline.load(options.model)
    text = options.text.read_text(encoding="utf-8")
    print(f"{'':28} {'words':>8} {'words/s':>10} {'perplexity':>11} {'unknown':>8}")
    by_export(model, text)
    one_at_a_time(model, text, options.targets)
    if options.kenlm:
        by_kenlm(*options.kenlm, options.text)


def by_export(model: Model, text: str) -> None:
    """Scores all of the text as `hopline score` does."""
    list(model.score_pieces(["warm up\n"]))
    began = time.perf_counter()
    totals = [scored.totals for scored in model.score_pieces(pieces.cut([text], "the text"))]
    seconds = time.perf_counter() - began
    words = sum(part.tokens for part in totals)
    row("hopline score", words, seconds, sum(part.nats for part in totals), sum(part.unknown for part in totals))


def one_at_a_time(model: Model, text: str, targets: int) -> None:
    """Scores the first targets of the text one by one: the memory of each is embedded and read for it alone."""
    network = keras.saving.load_model(model.located.folder / MODEL_FILE, compile=False)
    [scored] = model.score([text[: 20 * targets]])
    memory = network.memory
    ids = np.concatenate([np.zeros(memory, np.int32), scored.ids[:targets].astype(np.int32)])
    function = tf.function(window_nll, jit_compile=True)
    windows = np.lib.stride_tricks.sliding_window_view(ids, memory + 1)
    function(network, windows[:1])
    began = time.perf_counter()
    nll = np.concatenate([function(network, windows[place : place + 1]).numpy()[0] for place in range(len(windows))])
    seconds = time.perf_counter() - began
    difference = float(np.abs(nll - scored.nll[: len(nll)]).max())
    row(f"one target at a time ({difference:.0e})", len(nll), seconds, float(nll.sum()))


def by_kenlm(folder: Path, train: Path, text: Path) -> None:
    """Makes a modified Kneser-Ney 5-gram of `train`, and asks it for `text`.

    KenLM passes over a `<unk>` of the training text, so that it would cost as much as a word never seen; under another
    name it is a word like any other, as it is for the memory network.
    """
    with tempfile.TemporaryDirectory() as scratch:
        arpa, binary = Path(scratch) / "5.arpa", Path(scratch) / "5.bin"
        known, asked = Path(scratch) / "train.txt", Path(scratch) / "text.txt"
        known.write_text(renamed(train), encoding="utf-8")
        # Several times, since once takes about a hundredth of a second; its lines know nothing of each other.
        asked.write_text(renamed(text) * COPIES, encoding="utf-8")
        with known.open("rb") as source, arpa.open("wb") as target:
            command = [folder / "lmplz", "-o", "5", "-S", "1G", "-T", scratch]
            subprocess.run(command, stdin=source, stdout=target, stderr=subprocess.DEVNULL, check=True)
        subprocess.run([folder / "build_binary", arpa, binary], capture_output=True, check=True)
        empty = seconds_of([folder / "query", "-v", "summary", binary], Path("/dev/null"))[0]
        seconds, said = seconds_of([folder / "query", "-v", "summary", binary], asked)
    numbers = {name: float(value) for name, value in re.findall(r"^(.*):\s+([\d.e+]+)$", said, re.MULTILINE)}
    words = int(numbers["Tokens"]) // COPIES
    nats = words * float(np.log(numbers["Perplexity including OOVs"]))
    unknown = renamed(text).split().count(UNKNOWN_OF_KENLM) + int(numbers["OOVs"]) // COPIES
    row("KenLM 5-gram", words, (seconds - empty) / COPIES, nats, unknown)


def renamed(text: Path) -> str:
    """A text with its unknown words under the name that KenLM counts."""
    return text.read_text(encoding="utf-8").replace(RESERVED_WORDS[UNKNOWN], UNKNOWN_OF_KENLM)


def seconds_of(command: list[str | Path], text: Path) -> tuple[float, str]:
    """The seconds that a program takes, and what it says."""
    with text.open("rb") as stream:
        began = time.perf_counter()
        done = subprocess.run(command, stdin=stream, capture_output=True, check=True)
    return time.perf_counter() - began, done.stdout.decode()


def row(name: str, words: int, seconds: float, nats: float, unknown: int | None = None) -> None:
    """Prints a row."""
    told = "" if unknown is None else f"{unknown:,}"
    print(f"{name:28} {words:8,} {words / seconds:10,.0f} {np.exp(nats / words):11.2f} {told:>8}", flush=True)


if __name__ == "__main__":
    main()
