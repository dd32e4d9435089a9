"""Skip-gram with negative sampling (Mikolov et al. 2013): gensim's word2vec, and the same objective in a Keras graph.

A word's vector v is to have a great product with the vectors c of the words around it, and a small one with those of N
words drawn at random:  -log sigmoid(v c) - sum over N of log sigmoid(-v c_n).
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from benchmarks.questions.text import Ids
from hopline.runtime.errors import UserError

Table = npt.NDArray[np.float32]
_NOISE_POWER = 0.75  # of word frequencies, by which the random words are drawn
_FREQUENT = 1e-3  # words of a greater share are left out at random (gensim's `sample`)


@dataclasses.dataclass(frozen=True)
class SkipGram:
    """How both are trained.  `window` words to either side, of which each word has 1 to `window`, drawn anew."""

    width: int = 64
    window: int = 5
    negatives: int = 5
    epochs: int = 5
    batch: int = 2048
    learning_rate: float = 4e-3  # of Adam, at the start; 0 at the end.  gensim has its own


@dataclasses.dataclass(frozen=True, eq=False)  # arrays have no one answer to ==
class Vectors:
    """Both tables, V x F: of words, which is kept, and of words as context; rows by the vocabulary's ids."""

    words: Table
    contexts: Table

    def write(self, path: Path, known: Sequence[str], ids: Iterator[int]) -> Path:
        """Writes the rows of `ids` as word2vec's text."""
        rows = [f"{known[number]} {' '.join(map(str, self.words[number].tolist()))}\n" for number in ids]
        path.write_text(f"{len(rows)} {self.words.shape[1]}\n" + "".join(rows), encoding="utf-8")
        return path


def by_gensim(passages: Sequence[Ids], size: int, setting: SkipGram, seed: int) -> Vectors:
    """The word2vec of gensim, on one thread, so that it gives the same again; rows of words that it did not see are 0.

    Raises:
        UserError: gensim is not there; it is no need of hopline's, but of this question alone.
    """
    try:
        from gensim.models import Word2Vec  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            "this question compares with gensim, which is not installed",
            remedy="pip install -c constraints.txt -e '.[questions]'",
        ) from error
    sentences = [list(map(str, passage)) for passage in passages]
    model = Word2Vec(
        sentences, vector_size=setting.width, window=setting.window, min_count=1, sg=1, negative=setting.negatives,
        ns_exponent=_NOISE_POWER, sample=_FREQUENT, epochs=setting.epochs, workers=1, seed=seed,
    )  # fmt: skip
    ids = np.array(list(map(int, model.wv.index_to_key)))
    found = Vectors(*(np.zeros((size, setting.width), np.float32) for _ in range(2)))
    found.words[ids], found.contexts[ids] = model.wv.vectors, model.syn1neg
    return found


def in_our_graph(passages: Sequence[Ids], size: int, setting: SkipGram, seed: int) -> Vectors:
    """The same objective of the same pairs by two Embedding layers and Adam."""
    keras.utils.set_random_seed(seed)
    random = np.random.Generator(np.random.Philox(seed))
    word, others = keras.Input((1,), dtype="int32"), keras.Input((1 + setting.negatives,), dtype="int32")
    start = keras.initializers.RandomUniform(-0.5 / setting.width, 0.5 / setting.width)
    words = keras.layers.Embedding(size, setting.width, embeddings_initializer=start)
    contexts = keras.layers.Embedding(size, setting.width, embeddings_initializer="zeros")
    products = keras.layers.Flatten()(keras.layers.Dot(axes=2)([words(word), contexts(others)]))
    model = keras.Model([word, others], products)
    counts = np.bincount(np.concatenate(passages), minlength=size)
    pairs_an_epoch = len(pairs(_thinned(passages, counts, random), setting.window, random))
    steps = max(1, setting.epochs * pairs_an_epoch // setting.batch)
    rate = keras.optimizers.schedules.PolynomialDecay(setting.learning_rate, steps, end_learning_rate=0.0)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=False, steps_per_execution=16)
    for _ in range(setting.epochs):
        drawn = random.permutation(pairs(_thinned(passages, counts, random), setting.window, random))
        inputs = [drawn[:, :1], with_noise(drawn[:, 1], counts, setting.negatives, random)]
        labels = np.zeros(inputs[1].shape, np.float32)
        labels[:, 0] = 1
        model.fit(inputs, labels, batch_size=setting.batch, shuffle=False, verbose=0)
    return Vectors(np.array(words.embeddings), np.array(contexts.embeddings))


def pairs(passages: Sequence[Ids], window: int, random: np.random.Generator | None = None) -> Ids:
    """Words and their neighbours, shape (N, 2), in either order; with `random` each word has a window of its own."""
    found = [np.zeros((0, 2), np.int32)]
    for passage in passages:
        reach = random.integers(1, window + 1, len(passage)) if random else np.full(len(passage), window)
        for distance in range(1, min(window, len(passage) - 1) + 1):
            left, right = passage[:-distance], passage[distance:]
            found.append(np.stack([left, right], axis=1)[reach[:-distance] >= distance])
            found.append(np.stack([right, left], axis=1)[reach[distance:] >= distance])
    return np.concatenate(found)


def with_noise(contexts: Ids, counts: npt.NDArray[np.int64], negatives: int, random: np.random.Generator) -> Ids:
    """Each context with `negatives` random words behind it, shape (N, 1 + negatives)."""
    shares = np.cumsum(counts**_NOISE_POWER)
    drawn = np.searchsorted(shares / shares[-1], random.random((len(contexts), negatives)), side="right")
    return np.concatenate([contexts[:, None], drawn], axis=1).astype(np.int32)


def objective(vectors: Vectors, passages: Sequence[Ids], counts: npt.NDArray[np.int64], setting: SkipGram) -> float:
    """The mean objective, in nats, of all pairs of other text, with random words that are the same at each call."""
    random = np.random.Generator(np.random.Philox(1))
    seen = pairs(passages, setting.window)
    seen = seen[(counts[seen] > 0).all(axis=1)]
    others = with_noise(seen[:, 1], counts, setting.negatives, random)
    products = np.einsum("nf,nkf->nk", vectors.words[seen[:, 0]], vectors.contexts[others])
    products[:, 0] *= -1
    return float(np.logaddexp(0, products).sum(axis=1).mean())


def nearest(table: Table, among: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """For each id of `among` the `count` others of `among` with the greatest cosine, nearest first."""
    rows = table[among] / np.linalg.norm(table[among], axis=1, keepdims=True)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    found: npt.NDArray[np.int64] = among[np.argsort(-cosines, axis=1)[:, :count]]
    return found


def agreement(one: Table, other: Table, among: npt.NDArray[np.int64], count: int = 10) -> float:
    """The share of the `count` nearest neighbours of a word in one table that are such in the other; the mean."""
    pairs_of_lists = zip(nearest(one, among, count), nearest(other, among, count), strict=True)
    return float(np.mean([len(set(first) & set(second)) / count for first, second in pairs_of_lists]))


def _thinned(passages: Sequence[Ids], counts: npt.NDArray[np.int64], random: np.random.Generator) -> list[Ids]:
    """The passages without some of their frequent words, as word2vec's program leaves them out."""
    least = _FREQUENT * counts.sum()
    with np.errstate(divide="ignore"):
        kept = (np.sqrt(counts / least) + 1) * least / counts
    return [passage[random.random(len(passage)) < kept[passage]] for passage in passages]
