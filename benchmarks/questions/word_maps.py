"""Maps in two dimensions of words and of sentence means, one panel a table of vectors (question 5)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.questions.skip_gram import Table, nearest
from hopline.runtime.plot_style import STYLE

WORDS_PICTURE, SENTENCES_PICTURE = "word-map.png", "sentence-map.png"
WORDS = {
    "types": "int float str bytes list tuple dict string integer",
    "network": "server socket http url host port connection request",
    "windows": "widget button window menu canvas frame color",
    "files": "file path directory filename open directories",
    "exceptions": "exception error raise raised valueerror typeerror",
    "modal verbs": "must should may can will cannot",
    "numbers": "zero one two three first second",
}
PACKAGES = ("email", "asyncio", "tkinter", "_pydecimal", "logging", "xml")
_SENTENCES, _LEAST_WORDS = 60, 8  # of each package; in each sentence
_COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#bf3989", "#57606a")
_LABEL = 8.5  # points


def draw(
    known: Sequence[str], tables: Mapping[str, Table], documents: Mapping[str, Sequence[str]], folder: Path
) -> list[str]:
    """Draws both maps into `folder`; says how often a word's, or a sentence's, nearest neighbour is of its own kind.

    Args:
        known: the words by id.
        tables: vectors of all words, by the title of their panel.
        documents: as `benchmarks.questions.text.library_documents` gives them.
        folder: of the pictures.
    """
    ids, groups = chosen_words(known)
    sentences, packages = chosen_sentences(known, documents)
    words = {name: table[ids] for name, table in tables.items()}
    means = {name: sentence_means(table, sentences) for name, table in tables.items()}
    labels = [known[number] for number in ids]
    _draw_panels(words, groups, list(WORDS), labels, folder / WORDS_PICTURE)
    _draw_panels(means, packages, [name.lstrip("_") for name in PACKAGES], None, folder / SENTENCES_PICTURE)
    return [
        f"{name}: the nearest is of the same group for {same_kind(words[name], groups):.0%} of {len(ids)} words "
        f"(by chance {by_chance(groups):.0%}), of the same package for {same_kind(means[name], packages):.0%} of "
        f"{len(sentences)} sentences (by chance {by_chance(packages):.0%})"
        for name in tables
    ]


def chosen_words(known: Sequence[str]) -> tuple[list[int], list[int]]:
    """The ids of those of `WORDS` that are known, and the number of the group of each."""
    index = {word: number for number, word in enumerate(known)}
    found = [
        (index[word], group) for group, words in enumerate(WORDS.values()) for word in words.split() if word in index
    ]
    return [number for number, _ in found], [group for _, group in found]


def chosen_sentences(
    known: Sequence[str], documents: Mapping[str, Sequence[str]]
) -> tuple[list[npt.NDArray[np.int64]], list[int]]:
    """Sentences of `PACKAGES` as ids of known words, without marks; and the number of the package of each."""
    index = {word: number for number, word in enumerate(known) if word.isalpha() and len(word) > 1}
    random = np.random.Generator(np.random.Philox(1))
    found, packages = [], []
    for package, name in enumerate(PACKAGES):
        words = [word for key, text in documents.items() if re.match(rf"modules/{name}(/|$)", key) for word in text]
        texts = " ".join(words).split(" . ")
        ids = [np.array([index[word] for word in text.split() if word in index]) for text in texts]
        ids = [sentence for sentence in ids if len(sentence) >= _LEAST_WORDS]
        for number in random.permutation(len(ids))[:_SENTENCES]:
            found.append(ids[number])
            packages.append(package)
    return found, packages


def sentence_means(table: Table, sentences: Sequence[npt.NDArray[np.int64]]) -> Table:
    """The mean of each sentence's word vectors, of length 1 each, less the mean of all sentences."""
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    means = np.stack([unit[sentence].mean(axis=0) for sentence in sentences])
    centred: Table = means - means.mean(axis=0)
    return centred


def same_kind(vectors: Table, kinds: Sequence[int]) -> float:
    """The share of vectors whose nearest other one, by cosine, is of the same kind."""
    kind = np.array(kinds)
    return float((kind[nearest(vectors, np.arange(len(vectors)), 1)[:, 0]] == kind).mean())


def by_chance(kinds: Sequence[int]) -> float:
    """The share that `same_kind` has where neighbours are drawn at random."""
    counts = np.bincount(kinds)
    return float((counts * (counts - 1)).sum() / (len(kinds) * (len(kinds) - 1)))


def two_dimensions(vectors: Table) -> npt.NDArray[np.float64]:
    """The two principal components of the vectors, of length 1 each: shape (N, 2)."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    centred = unit - unit.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    found: npt.NDArray[np.float64] = (centred @ axes[:2].T).astype(np.float64)
    return found


def apart(
    centres: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64], rounds: int = 500
) -> npt.NDArray[np.float64]:
    """The centres of boxes, moved until none overlaps another: two that do are pushed apart where it takes least.

    Args:
        centres: shape (N, 2).
        sizes: width and height of each, shape (N, 2).
        rounds: after which it is given up.
    """
    moved = centres + 1e-3 * np.random.Generator(np.random.Philox(1)).normal(size=centres.shape)
    needed = (sizes[:, None] + sizes[None]) / 2
    for _ in range(rounds):
        away = moved[:, None] - moved[None]
        overlap = needed - np.abs(away)
        touching = (overlap > 0).all(axis=2) & ~np.eye(len(moved), dtype=bool)
        if not touching.any():
            break
        along = overlap[..., 1] < overlap[..., 0]  # the way that takes least
        push = np.where(np.stack([~along, along], axis=2) & touching[..., None], np.sign(away) * overlap, 0.0)
        moved += 0.3 * push.sum(axis=1)
    return moved


def _draw_panels(
    panels: Mapping[str, Table], kinds: Sequence[int], names: Sequence[str], labels: Sequence[str] | None, path: Path
) -> None:
    """One map beside the other, a colour for each kind; with `labels` each point's own beside it."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(11, 5.8), layout="constrained", squeeze=False)
        colours = [_COLOURS[kind] for kind in kinds]
        for panel, (title, vectors) in zip(axes[0], panels.items(), strict=True):
            places = two_dimensions(vectors)
            panel.set(xticks=[], yticks=[])
            panel.margins(0.09)
            panel.set_title(title, loc="left", fontsize=10)
            panel.scatter(*places.T, s=9 if labels else 22, c=colours, alpha=1 if labels else 0.75, linewidths=0)
        handles = [
            plt.Line2D([], [], marker="o", linestyle="", color=colour)
            for colour, _ in zip(_COLOURS, names, strict=False)
        ]
        figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
        figure.canvas.draw()  # so that the axes have their size, on which labels depend
        figure.set_layout_engine("none")
        if labels:
            for panel, vectors in zip(axes[0], panels.values(), strict=True):
                _write_labels(panel, two_dimensions(vectors), labels, colours)
        figure.savefig(path, dpi=110)
        plt.close(figure)


def _write_labels(axes: Any, places: npt.NDArray[np.float64], labels: Sequence[str], colours: Sequence[str]) -> None:
    """Writes each label above its point, or where there is room, and then with a line to the point."""
    pixels = axes.transData.transform(places)
    point = axes.figure.dpi / 72
    texts = [axes.text(0, 0, label, fontsize=_LABEL) for label in labels]
    boxes = [text.get_window_extent() for text in texts]
    for text in texts:
        text.remove()
    sizes = np.array([(box.width + 3 * point, box.height + 1.5 * point) for box in boxes])
    above = np.array([0, 7 * point])
    centres = apart(pixels + above, sizes)
    frame = axes.get_window_extent()
    half = sizes / 2
    centres = np.clip(centres, frame.min + half, frame.max - half)
    for label, colour, place, centre, pixel in zip(labels, colours, places, centres, pixels, strict=True):
        far = np.abs(centre - pixel - above).max() > 4 * point
        axes.annotate(
            label, place, axes.transData.inverted().transform(centre), color=colour, fontsize=_LABEL, ha="center",
            va="center", arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "alpha": 0.6} if far else None,
        )  # fmt: skip
