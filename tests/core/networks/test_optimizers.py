import keras
import numpy as np
import pytest
import tensorflow as tf

from segsrgan_core.networks.optimizers import ConvolutionMuon, OnePassAdam


def step(gradient):
    variable = keras.Variable(np.zeros_like(gradient))
    optimizer = ConvolutionMuon(0.1, weight_decay=0.0, adam_weight_decay=0.0)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return np.asarray(variable)


def test_a_kernels_step_has_nearly_equal_singular_values():
    gradient = np.random.default_rng(0).normal(size=(3, 3, 3, 8, 16)).astype(np.float32)
    gradient[..., 0] *= 100  # a direction that plain descent would follow alone
    moved = step(gradient).reshape(-1, 16)
    values = np.linalg.svd(moved, compute_uv=False)
    # Keras's five Newton-Schulz iterations bring them to 0.7 ... 1.2 of the wished size.
    assert values.max() / values.min() < 2.5
    assert np.median(values) == pytest.approx(0.1 * 0.2 * np.sqrt(216), rel=0.35)
    assert np.vdot(moved, gradient) < 0


@pytest.mark.parametrize("shape", [(432, 16), (16, 432), (64, 64)])
def test_the_iteration_on_inner_products_is_kerass(shape):
    direction = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    direction[:, 0] *= 1000  # the others are then small to it
    ours, theirs = (
        np.asarray(kind(0.1).zeropower_via_newtonschulz5(tf.constant(direction), 5))
        for kind in (ConvolutionMuon, keras.optimizers.Muon)
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    assert np.median(np.linalg.svd(ours, compute_uv=False)) > 0.3


@pytest.mark.parametrize("shape", [(16,), (3, 3, 3, 1, 16), (3, 3, 3, 16, 2)])
def test_scales_and_outer_convolutions_take_adams_step(shape):
    gradient = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(step(gradient), -0.1 * np.sign(gradient), atol=5e-3)


def trained(kind, steps=5):
    optimizer = kind(keras.optimizers.schedules.CosineDecay(0.1, 10), beta_1=0.5, beta_2=0.9)
    start = [np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), np.ones(5, np.float32)]
    weights = [keras.Variable(values) for values in start]
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
