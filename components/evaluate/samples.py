"""What the challenger does, to be seen: drawn words, the likeliest ones, and where each hop looks."""

import html
import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from components.evaluate.page import picture, table
from components.evaluate.text import read_documents
from hopline.artifacts import Manifest
from hopline.runtime.plot_style import STYLE
from hopline.store import folders
from hopline.use.locate import Located
from hopline.use.model import Model
from hopline.use.samples import LIKELIEST, Samples, Sentence, make_samples

SAMPLES_FILE = "samples.json"
_SVG = {"svg.hashsalt": "hopline", "svg.fonttype": "none", **STYLE, "axes.grid": False}


def write_samples(folder: Path, manifest: Manifest, text: Path, split: str, result: Path) -> tuple[str, dict[str, Any]]:
    """Writes `samples.json`.

    Args:
        folder: of the challenger.
        manifest: its manifest.
        text: folder of the raw text.
        split: the split that beginnings are taken from.
        result: the folder to write into.

    Returns:
        A section of the report, and the facts that the closing lines are made of.
    """
    documents = [document.text for document in read_documents(text, split)]
    samples = make_samples(Model(Located(folder, manifest, None, str(folder))), documents)
    folders.write_json(result / SAMPLES_FILE, samples.content())
    return section(samples), facts(samples)


def facts(samples: Samples) -> dict[str, Any]:
    """The samples in short: beginnings with their continuations, and the sentence with the likeliest words."""
    continuations = [[one.beginning, one.drawn] for one in samples.continuations]
    sentence = samples.sentence
    places = zip(sentence.words, sentence.likeliest, strict=True) if sentence else ()
    return {
        "continuations": continuations,
        "likeliest": [[word, [[likely, round(share, 3)] for likely, share in top]] for word, top in places],
    }


def section(samples: Samples) -> str:
    """The samples as HTML."""
    parts = ["<h2>What it writes</h2>"]
    for one in samples.continuations:
        real = f'<span class="from">in the text: {html.escape(one.beginning + one.real)}</span>'
        parts.append(f'<p class="passage">{html.escape(one.beginning)}<b>{html.escape(one.drawn)}</b>{real}</p>')
    sentence = samples.sentence
    if sentence:
        rows = [
            [word, f"{bits:.1f}", *(f"{likely} {number:.1%}" for likely, number in likeliest)]
            for word, bits, likeliest in zip(sentence.words, sentence.bits, sentence.likeliest, strict=True)
        ]
        heads = ["word", "bits", *(f"likeliest {rank}" for rank in range(1, min(LIKELIEST, len(rows[0]) - 2) + 1))]
        parts += ["<h2>What it expects, word by word</h2>", table(heads, rows)]
        caption = "Where each hop looks: the share that it reads of each word before"
        parts.append(picture(caption, draw(sentence), "svg+xml"))
    return "\n".join(parts)


def draw(sentence: Sentence) -> bytes:
    """One map for each hop, of the words that are predicted (down) and the words that are read (across); SVG."""
    count, hops, _ = sentence.reads.shape
    columns = min(hops, 3)
    rows = -(-hops // columns)
    side = 0.24 * count + 0.9
    with mpl.rc_context(_SVG):
        figure = Figure(figsize=(columns * side, rows * side + 0.3), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for number, axes in enumerate(grid.flat):
            if number >= hops:
                axes.set_axis_off()
                continue
            axes.imshow(sentence.reads[:, number], cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
            words = [word.replace("$", r"\$") for word in sentence.words]
            axes.set_title(f"hop {number + 1}", fontsize=9)
            axes.set_xticks(range(count), words, rotation=90, fontsize=7)
            axes.set_yticks(range(count), words, fontsize=7)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
