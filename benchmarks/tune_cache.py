"""Which neural cache helps a model most, on text it may be tuned on.

    python -m benchmarks.tune_cache MODEL VALID [--windows 100 500 ...] [--flatness 3 10 ...] [--weights .05 .1 ...]

MODEL is an output, a registry or a model folder; VALID a file of validation text, one document: the split that
training was steered by, never the one that is reported.  The text is scored once, and all settings from its states
(`hopline.use.cache_grid`).  The last line is the command that scores another text by the best setting.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np

import hopline
from hopline.use import pieces
from hopline.use.cache_grid import mean_nll
from hopline.use.model import Model

_SHOWN = 20


def main() -> None:
    """Prints the settings, best first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("valid", type=Path)
    parser.add_argument("--windows", type=int, nargs="+", default=[100, 500, 1000, 2000, 4000])
    parser.add_argument("--flatness", type=float, nargs="+", default=[0.0, 3.0, 6.0, 10.0, 15.0, 25.0])
    parser.add_argument("--weights", type=float, nargs="+", default=[0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3])
    options = parser.parse_args()
    model = hopline.load(options.model)
    began = time.monotonic()
    states, ids, nll = scored(model, options.valid)
    between = time.monotonic()
    found = mean_nll(states, ids, nll, windows=options.windows, flatnesses=options.flatness, weights=options.weights)
    print(f"{len(ids):,} words scored in {between - began:.0f} s, {len(found)} settings in "
          f"{time.monotonic() - between:.0f} s")  # fmt: skip
    print(f"without a cache: perplexity {math.exp(nll.mean(dtype=np.float64)):.2f}")
    print(f"{'perplexity':>10} {'window':>7} {'weight':>7} {'flatness':>9}")
    for config, mean in found[:_SHOWN]:
        print(f"{math.exp(mean):10.2f} {config.window:7} {config.weight:7g} {config.flatness:9g}")
    best = found[0][0]
    print(f"hopline score --cache {best.window} --cache-weight {best.weight:g} --cache-flatness {best.flatness:g} "
          f"--output {options.model} TEST")  # fmt: skip


def scored(model: Model, file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States (N, F), ids (N,) and negative log-likelihoods (N,) of the file's words."""
    context = np.zeros(model.reach, np.int32)
    parts = []
    with file.open("rb") as stream:
        for text in pieces.cut(pieces.read_text(stream, str(file)), str(file), anywhere=model.by_character):
            found = model.exported.call("states", context=context, text=text)
            context = found["context"]
            parts.append((found["states"], found["ids"], found["nll"]))
    states, ids, nll = (np.concatenate(column) for column in zip(*parts, strict=True))
    return states, ids, nll


if __name__ == "__main__":
    main()
