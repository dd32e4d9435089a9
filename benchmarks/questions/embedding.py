"""Question 4: what an Embedding layer computes, what it costs, and what an auto-encoder learns in its place.

    python -m benchmarks.questions.embedding
    python -m benchmarks.questions.embedding --timings --whole    # the first part alone; the largest products too: 5 GB

Measures the look-up and the product with one-hot rows, forward and backward, as the vocabulary grows, in processor
time, which others on the machine change little; then trains word vectors to give back their own word (an auto-encoder)
and to give the next one, and prints what each puts together.
"""

import argparse
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from benchmarks.questions.text import Ids, as_ids, library_text

WIDTH, TOKENS = 64, 256
_MOST_ONE_HOT = 1 << 27  # numbers; half a gigabyte


def look_up(table_VE: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """What `keras.layers.Embedding` computes."""
    return tf.gather(table_VE, ids)


def product(table_VE: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """The same as a matrix product with one-hot rows."""
    return tf.one_hot(ids, table_VE.shape[0]) @ table_VE


def tied(table_VE: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """The look-up, and the table as the output matrix of the same model."""
    return tf.gather(table_VE, ids) @ tf.transpose(table_VE)


Form = Callable[[tf.Variable, tf.Tensor], tf.Tensor]


def gradient(form: Form, table_VE: tf.Variable, ids: tf.Tensor) -> "tf.Tensor | tf.IndexedSlices":
    """Of the sum of all squares with respect to the table."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(form(table_VE, ids) ** 2)
    return tape.gradient(loss, table_VE)


def milliseconds(form: Form, vocabulary: int) -> tuple[float, float, float]:
    """Milliseconds of all cores, forward alone and with backward, the best of three; MiB of the gradient."""
    table_VE = tf.Variable(tf.random.stateless_normal((vocabulary, WIDTH), (1, 1)))
    ids = tf.constant(np.random.Generator(np.random.Philox(1)).integers(vocabulary, size=TOKENS), tf.int32)
    forward, both = [], []
    gradient(form, table_VE, ids)  # the first call takes a moment of its own
    for _ in range(3):
        started = time.process_time()
        form(table_VE, ids).numpy()
        forward.append(time.process_time() - started)
        started = time.process_time()
        found = gradient(form, table_VE, ids)
        numbers = found.values if isinstance(found, tf.IndexedSlices) else found
        numbers.numpy()
        both.append(time.process_time() - started)
    return 1000 * min(forward), 1000 * min(both), 4 * int(tf.size(numbers)) / 2**20


def timings(*, whole: bool) -> None:
    """Prints the table of times; with `whole` also of products whose one-hot rows alone take a gigabyte."""
    print(f"{TOKENS} tokens, {WIDTH} wide: ms of all cores forward, forward and backward, MiB of the gradient\n")
    print("| words | look-up | one-hot product | tied |\n| --- | --- | --- | --- |")
    for vocabulary in (1_000, 10_000, 100_000, 1_000_000):
        cells = []
        for form in (look_up, product, tied):
            if form is not look_up and vocabulary * TOKENS > _MOST_ONE_HOT and not whole:
                cells.append("not run: the rows alone are 1 GB")
                continue
            forward, both, size = milliseconds(form, vocabulary)
            cells.append(f"{forward:,.2f}, {both:,.2f}, {size:.2f}")
        print(f"| {vocabulary:,} | " + " | ".join(cells) + " |", flush=True)


def word_vectors(ids: Ids, size: int, *, ahead: int, epochs: int = 2, width: int = 16) -> tuple[np.ndarray, float]:
    """Vectors of a model that maps a word to the word `ahead` places on, 0 for itself; and the loss at the end."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Embedding(size, width), keras.layers.Dense(size)])
    model.compile(keras.optimizers.Adam(5e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    words, targets = ids[: len(ids) - ahead], ids[ahead:]
    history = model.fit(words, targets, batch_size=128, epochs=epochs, verbose=0)
    return np.array(model.layers[0].embeddings), float(history.history["loss"][-1])


def nearest(vectors_VE: np.ndarray, word: int, count: int = 4) -> list[int]:
    """The words whose vectors have the greatest cosine with that of `word`."""
    unit_VE = vectors_VE / np.linalg.norm(vectors_VE, axis=1, keepdims=True)
    cosine_V = unit_VE @ unit_VE[word]
    cosine_V[[0, word]] = -np.inf
    return [int(number) for number in np.argsort(-cosine_V)[:count]]


def neighbours() -> None:
    """Prints what an auto-encoder and a model of the next word put together."""
    ids, known = as_ids(library_text(55_000), 500)
    for name, ahead in (("auto-encoder", 0), ("next word", 1)):
        vectors_VE, loss = word_vectors(ids, len(known), ahead=ahead)
        print(f"\n{name}: loss {loss:.2f}", flush=True)
        for word in ("is", "list", "must", "two"):
            if word in known:
                print(f"    {word}: " + ", ".join(known[number] for number in nearest(vectors_VE, known.index(word))))


def main() -> None:
    """Prints times, losses and neighbours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timings", action="store_true", help="times alone")
    parser.add_argument("--whole", action="store_true", help="the largest products too")
    options = parser.parse_args()
    timings(whole=options.whole)
    if not options.timings:
        neighbours()


if __name__ == "__main__":
    main()
