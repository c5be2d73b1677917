import keras
import numpy as np
import pytest
import tensorflow as tf

from segsrgan_core.networks.layers import ImageAndClasses, InstanceNormalization, LeakyReLU
from tests.core.networks.test_convolutions import gradients, with_penalty

X = np.random.default_rng(0).normal(3, 2, (2, 6, 4, 8, 3)).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 2])
def test_instance_normalisation_is_keras_own_of_groups_of_one_channel_with_its_gradient(batch):
    layers = InstanceNormalization(), keras.layers.GroupNormalization(groups=-1, epsilon=1e-3)
    for ours, theirs in zip(*(gradients(layer, X[:batch]) for layer in layers), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_instance_normalisation_with_relu_is_both_one_after_the_other():
    plain, both = InstanceNormalization()(X), InstanceNormalization(relu=True)(X)
    np.testing.assert_array_equal(both, np.maximum(plain, 0))
    assert 0.2 < np.mean(both == 0) < 0.8


def test_the_leaky_relu_is_keras_own_with_its_second_derivative():
    weights, results = tf.Variable(X[::-1]), []
    for layer in (LeakyReLU(), keras.layers.LeakyReLU(negative_slope=0.01)):
        results.append(with_penalty(lambda x, layer=layer: layer(x * weights), X - 3, [weights]))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_the_image_head_is_a_residual_in_float32_in_units_of_the_windows_deviation():
    image = 100.125 + 4 * np.indices((2, 2, 2)).sum(0).astype(np.float32).reshape(1, 2, 2, 2, 1) % 2 * 2
    y = ImageAndClasses((1,))(tf.constant(np.full((1, 2, 2, 2, 2), 2**-10), tf.bfloat16), tf.constant(image))
    assert y.dtype == tf.float32
    np.testing.assert_allclose(y[..., 0], image[..., 0] + image.std() / 1024, rtol=1e-6)


@pytest.mark.parametrize("classes", [1, 4])
def test_classes_are_probabilities(classes):
    scores = tf.constant(np.random.default_rng(0).normal(size=(1, 2, 2, 2, 1 + classes)), tf.float32)
    y = ImageAndClasses((classes,))(scores, X[:1, :2, :2, :2, :1]).numpy()[..., 1:]
    assert 0 < y.min() < y.max() < 1
    if classes > 1:
        np.testing.assert_allclose(y.sum(-1), 1, atol=1e-6)
