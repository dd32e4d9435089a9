"""Question 4: what is said of an Embedding layer stays true."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.questions.embedding import gradient, look_up, nearest, product, tied, word_vectors

V, E = 9, 4
IDS = tf.constant([3, 1, 3])


def test_a_look_up_is_the_product_with_one_hot_rows_and_its_gradient_has_rows_alone():
    table = tf.Variable(np.random.Generator(np.random.Philox(1)).normal(size=(V, E)).astype("float32"))
    layer = keras.layers.Embedding(V, E)
    layer.build()
    layer.embeddings.assign(table)
    np.testing.assert_array_equal(layer(IDS), look_up(table, IDS))
    np.testing.assert_allclose(product(table, IDS), look_up(table, IDS), rtol=1e-6)
    rows, dense = gradient(look_up, table, IDS), gradient(product, table, IDS)
    assert isinstance(rows, tf.IndexedSlices)
    assert rows.values.shape == (3, E)
    assert isinstance(dense, tf.Tensor)
    np.testing.assert_allclose(tf.convert_to_tensor(rows), dense, rtol=1e-5)


def test_once_tied_the_gradient_is_dense():
    table = tf.Variable(tf.ones((V, E)))
    found = tf.convert_to_tensor(gradient(tied, table, IDS))
    assert np.count_nonzero(np.abs(found).sum(axis=1)) == V


def test_an_auto_encoder_of_words_puts_no_words_together_and_a_model_of_the_next_word_does():
    """Words 1 to 8 are followed by the same words as their twins 9 to 16."""
    random = np.random.Generator(np.random.Philox(2))
    ids, word = [], 1
    for _ in range(4000):
        ids.append(word + 8 * int(random.integers(2)))
        word = 1 + (word + int(random.integers(1, 3))) % 8
    ids = np.array(ids, np.int32)

    def twins_found(ahead):
        vectors, loss = word_vectors(ids, 17, ahead=ahead, epochs=6)
        near = [nearest(vectors, number, 1)[0] for number in range(1, 17)]
        return sum(abs(number - other) == 8 for number, other in enumerate(near, start=1)), loss

    itself, exact = twins_found(0)
    following, uncertain = twins_found(1)
    assert exact < 0.1 < uncertain
    assert itself < 8 < following
