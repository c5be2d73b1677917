import keras
import numpy as np
import tensorflow as tf

from segsrgan_core.networks.adam import OnePassAdam


def trained(kind, steps=5):
    rate = keras.optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = kind(rate, beta_1=0.5, beta_2=0.9)
    weights = [keras.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)), keras.Variable(np.ones(5, np.float32))]
    optimizer.build(weights)
    apply = tf.function(lambda i: optimizer.apply([tf.sin(w.value * 7 + i) for w in weights], weights))
    for step in range(steps):
        apply(tf.constant(float(step)))
    return [v.numpy() for v in (*weights, *optimizer.variables)]


def test_one_pass_gives_what_keras_gives_with_moments_and_step_count():
    ours, theirs = trained(OnePassAdam), trained(keras.optimizers.Adam)
    assert len(ours) == len(theirs) > 6
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert np.abs(ours[0] - trained(OnePassAdam, steps=4)[0]).max() > 1e-3
