"""Text for the questions: what every CPython carries, as ids of its most frequent words."""

import re
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hopline.config.corpus import EMBEDDED_CORPUS
from hopline.corpus.embedded import write

UNKNOWN = 0
Ids = npt.NDArray[np.int32]


def library_documents(name: str = EMBEDDED_CORPUS) -> dict[str, list[str]]:
    """The documents of an embedded corpus by name (topics/..., modules/...), as words."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = write(name, Path(scratch))
        texts = {path.relative_to(folder): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.txt"))}
    return {path.with_suffix("").as_posix(): re.findall(r"\w+|[^\w\s]", text.lower()) for path, text in texts.items()}


def library_text(least_words: int) -> list[str]:
    """The documentation topics and, where more is asked for, the docstrings of the standard library, as words."""
    name = "embedded:python-docs" if least_words < 60_000 else EMBEDDED_CORPUS
    words = [word for document in library_documents(name).values() for word in document]
    if len(words) < least_words:
        raise ValueError(f"this Python carries {len(words):,} words, but {least_words:,} are asked for")
    return words[:least_words]


def as_ids(words: list[str], size: int) -> tuple[Ids, list[str]]:
    """The words as ids of the `size` - 1 most frequent ones, all others as `UNKNOWN`; and the words by id."""
    known = ["<unk>", *(word for word, _ in Counter(words).most_common(size - 1))]
    index = {word: number for number, word in enumerate(known)}
    return np.array([index.get(word, UNKNOWN) for word in words], np.int32), known


def word_frequency_loss(ids: Ids, size: int) -> float:
    """Nats a word of a model that knows word frequencies alone: what a network has when it has learned nothing else."""
    counts = np.bincount(ids, minlength=size)
    shares = counts[counts > 0] / len(ids)
    return float(-(shares * np.log(shares)).sum())
