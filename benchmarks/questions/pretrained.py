"""Question 5: how an Embedding differs from word2vec, and when to start from its vectors.

    python -m benchmarks.questions.pretrained

Trains hopline's network on 1%, 10% and 100% of a text, from random tables, from vectors of that very part, and from
vectors of the whole text, held as they are at first or not; and prints its perplexity on other text, for all words and
by how often the part has them.  Compares skip-gram in a Keras graph with gensim's (pip install -c constraints.txt -e
'.[questions]'), prints nearest neighbours, and draws maps of words and of sentence means into docs/images.
"""

import argparse
import dataclasses
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.questions import word_maps
from benchmarks.questions.learning_curve import MODEL, Learner, Texts, make_texts
from benchmarks.questions.skip_gram import (
    SkipGram,
    Table,
    Vectors,
    agreement,
    by_gensim,
    in_our_graph,
    nearest,
    objective,
)
from benchmarks.questions.text import library_documents

PICTURES = Path(__file__).parents[2] / "docs" / "images"
RANDOM, OWN, WHOLE = STARTS = ("random", "its own text", "the whole text")
SEEN = {"all words": (0, 1 << 30), "never": (0, 0), "1 to 9 times": (1, 9), "10 times or more": (10, 1 << 30)}
_SHOWN = ("list", "returns", "error", "server", "two", "window", "must")


@dataclasses.dataclass(frozen=True)
class Part:
    """A share of the text, and how long the network is trained on it: so long that it overfits or the text is large."""

    share: float
    epochs: int
    freeze_epochs: int
    word2vec_epochs: int


@dataclasses.dataclass(frozen=True)
class Setting:
    """The sizes of a run."""

    words: int = 200_000
    held_out: int = 10_000  # for validation, and as many for the test
    vocabulary: int = 3_000
    seeds: int = 1
    parts: tuple[Part, ...] = (Part(0.01, 16, 5, 100), Part(0.1, 6, 2, 30), Part(1.0, 2, 1, 5))


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: a share, what the table starts from, for how many epochs it is held as it is."""

    part: Part
    start: str
    frozen: bool


@dataclasses.dataclass
class Findings:
    """What a run found.

    Attributes:
        losses: for each row a line a seed: nats a word, of all words and by how often the part has them (`SEEN`).
        shares: for each share of the text, the share of the test's words in each of those groups.
        whole: gensim's vectors of the whole text, by seed from 1.
        ours: those of our graph, of seed 1.
        network: the table of the network of seed 1, trained on the whole text from a random start.
    """

    losses: dict[Row, list[list[float]]] = dataclasses.field(default_factory=dict)
    shares: dict[float, list[float]] = dataclasses.field(default_factory=dict)
    whole: list[Vectors] = dataclasses.field(default_factory=list)
    ours: Vectors | None = None
    network: Table | None = None


def rows(setting: Setting) -> Iterator[Row]:
    """Of the table; of the whole text, its own vectors are the whole text's."""
    for part in setting.parts:
        yield Row(part, RANDOM, frozen=False)
        for start in (OWN, WHOLE) if part.share < 1 else (WHOLE,):
            yield Row(part, start, frozen=False)
            yield Row(part, start, frozen=True)


def groups(texts: Texts, share: float) -> list[npt.NDArray[np.bool_]]:
    """For each group of `SEEN`, which words of the test belong to it."""
    times = np.bincount(np.concatenate(texts.share(share)), minlength=len(texts.known))[np.concatenate(texts.test)]
    return [(least <= times) & (times <= most) for least, most in SEEN.values()]


def learn(setting: Setting, texts: Texts, found: Findings) -> None:
    """Trains all rows with all seeds."""
    learner, size = Learner(texts), len(texts.known)
    for seed in range(1, setting.seeds + 1):
        with tempfile.TemporaryDirectory() as scratch:
            files = {}
            for part in setting.parts:
                text = texts.share(part.share)
                vectors = by_gensim(text, size, SkipGram(MODEL.rows, epochs=part.word2vec_epochs), seed)
                ids = np.unique(np.concatenate(text)).tolist()
                files[part.share] = vectors.write(Path(scratch, f"{part.share}.vec"), texts.known, ids)
                if part.share == 1:
                    found.whole.append(vectors)
            for row in rows(setting):
                file = {RANDOM: None, OWN: files[row.part.share], WHOLE: files[1.0]}[row.start]
                frozen = row.part.freeze_epochs if row.frozen else 0
                text = texts.share(row.part.share)
                trained = learner.train(text, file, epochs=row.part.epochs, freeze_epochs=frozen, seed=seed)
                members = groups(texts, row.part.share)
                nats = [float(trained.nll[group].mean()) if group.any() else np.nan for group in members]
                found.losses.setdefault(row, []).append(nats)
                found.shares[row.part.share] = [float(group.mean()) for group in members]
                if found.network is None and row.part.share == 1 and row.start == RANDOM:
                    found.network = trained.table
                said = f"seed {seed}, {row.part.share:.0%} from {row.start}{', held at first' * row.frozen}"
                print(f"{said}: {np.exp(nats[0]):.1f}", file=sys.stderr, flush=True)


def curve_table(found: Findings) -> Iterator[str]:
    """The learning curve: perplexities, the means of all seeds, and half the range of that of all words."""
    yield "| text | table starts from | held at first | " + " | ".join(SEEN) + " |"
    yield "| --- |" + " --- |" * (2 + len(SEEN))
    for row, losses in found.losses.items():
        means, spread = np.exp(np.mean(losses, axis=0)), np.ptp(np.exp(losses), axis=0)[0] / 2
        cells = [f"{means[0]:.1f} ± {spread:.1f}", *("" if np.isnan(mean) else f"{mean:,.0f}" for mean in means[1:])]
        yield f"| {row.part.share:.0%} | {row.start} | {'yes' if row.frozen else 'no'} | {' | '.join(cells)} |"
    for share, parts in found.shares.items():
        shown = ", ".join(f"{name}: {part:.1%}" for name, part in list(zip(SEEN, parts, strict=True))[1:])
        yield f"\nOf the test's words the {share:.0%} has {shown}."


def skip_gram_table(texts: Texts, found: Findings, setting: Setting) -> Iterator[str]:
    """Our graph's vectors beside gensim's: the objective on other text, and neighbours in common."""
    counts = np.bincount(np.concatenate(texts.passages), minlength=len(texts.known))
    skip_gram, first = SkipGram(MODEL.rows, epochs=setting.parts[-1].word2vec_epochs), found.whole[0]
    zero = Vectors(np.zeros_like(first.words), np.zeros_like(first.contexts))
    among = frequent_words(texts, 1000)
    assert found.ours
    yield "| vectors | objective on held-out text, nats | of gensim's 10 nearest neighbours |\n| --- | --- | --- |"
    named = {"no training": zero, "gensim": first, "our graph": found.ours}
    named |= {f"gensim, seed {seed}": vectors for seed, vectors in enumerate(found.whole[1:], start=2)}
    for name, vectors in named.items():
        common = "" if vectors in (zero, first) else f"{agreement(first.words, vectors.words, among):.0%}"
        yield f"| {name} | {objective(vectors, texts.test, counts, skip_gram):.3f} | {common} |"


def neighbour_table(texts: Texts, found: Findings) -> Iterator[str]:
    """The nearest of the thousand most frequent words, by word2vec and by the network's table."""
    among = frequent_words(texts, 1000)
    assert found.network is not None
    tables = {"word2vec (gensim)": found.whole[0].words, "our graph": found.ours.words if found.ours else None}
    tables["the network's table"] = found.network
    lists = {name: nearest(table, among, 4) for name, table in tables.items() if table is not None}
    yield "| | " + " | ".join(lists) + " |\n|" + " --- |" * (1 + len(lists))
    for number, row in zip(among, zip(*lists.values(), strict=True), strict=True):
        if texts.known[number] in _SHOWN:
            cells = [", ".join(texts.known[other] for other in near) for near in row]
            yield f"| {texts.known[number]} | " + " | ".join(cells) + " |"


def frequent_words(texts: Texts, count: int) -> npt.NDArray[np.int64]:
    """The ids of the most frequent words that are letters and more than one."""
    ids = [number for number, word in enumerate(texts.known) if word.isalpha() and len(word) > 1]
    return np.array(ids[:count])


def measure(setting: Setting) -> tuple[Texts, Findings]:
    """All trainings."""
    texts, found = make_texts(library_documents(), setting.vocabulary, setting.words, setting.held_out), Findings()
    learn(setting, texts, found)
    skip_gram = SkipGram(MODEL.rows, epochs=setting.parts[-1].word2vec_epochs)
    found.ours = in_our_graph(texts.passages, len(texts.known), skip_gram, 1)
    return texts, found


def main() -> None:
    """Prints the tables and draws the maps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=Setting.seeds)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder of the maps (docs/images)")
    options = parser.parse_args()
    started, setting = time.monotonic(), Setting(seeds=options.seeds)
    texts, found = measure(setting)
    for lines in (curve_table(found), skip_gram_table(texts, found, setting), neighbour_table(texts, found)):
        print(*lines, sep="\n", end="\n\n", flush=True)
    assert found.network is not None
    tables = {"hopline: the network's table": found.network, "word2vec (gensim)": found.whole[0].words}
    print(*word_maps.draw(texts.known, tables, library_documents(), options.pictures), sep="\n")
    print(f"\n{time.monotonic() - started:.0f} seconds")


if __name__ == "__main__":
    main()
