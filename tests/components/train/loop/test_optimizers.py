import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.loop.optimizers import adamw, sgd

random = np.random.Generator(np.random.Philox(6))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (sgd(), keras.optimizers.SGD(0.1)),
        (adamw(0.0), keras.optimizers.AdamW(0.1, weight_decay=0.0)),
        (adamw(0.3), keras.optimizers.AdamW(0.1, weight_decay=0.3)),
    ],
    ids=["sgd", "adamw", "adamw with decay"],
)
def test_ten_updates_equal_those_of_keras(ours, theirs):
    start = random.normal(size=(4, 3)).astype("float32")
    variable = keras.Variable(start)
    weight, slots = tf.constant(start), [tf.zeros((4, 3))] * ours.slots
    for number in range(1, 11):
        gradient = tf.constant(random.normal(size=(4, 3)).astype("float32"))
        theirs.apply([gradient], [variable])
        weight, slots = ours.update(weight, gradient, slots, tf.constant(0.1), tf.constant(float(number)))
        np.testing.assert_allclose(weight, variable, rtol=1e-5, atol=1e-6)
