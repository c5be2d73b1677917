import keras
import numpy as np
import pytest
import tensorflow as tf

from segsrgan_core.networks import convolutions

X = np.random.default_rng(0).normal(size=(2, 8, 12, 8, 3)).astype(np.float32)
MODES = {"zero": "CONSTANT", "reflect": "REFLECT"}


def plain(x, kernel, padding, strides=1):
    """The textbook form: pad, convolve."""
    if strides == 2:
        return tf.nn.conv3d(x, kernel, [1, 2, 2, 2, 1], "SAME")
    reach = kernel.shape[0] // 2
    padded = tf.pad(x, [[0, 0], *[[reach, reach]] * 3, [0, 0]], MODES[padding])
    return tf.nn.conv3d(padded, kernel, [1] * 5, "VALID")


def repeated(x):
    for axis in (1, 2, 3):
        x = tf.repeat(x, 2, axis)
    return x


def gradients(function, *values):
    values = [tf.constant(v) for v in values]
    with tf.GradientTape() as tape:
        tape.watch(values)
        y = function(*values)
        loss = tf.reduce_sum(y * tf.cos(tf.reshape(tf.range(tf.size(y), dtype=tf.float32), tf.shape(y))))
    return [y, *tape.gradient(loss, values)]


def with_penalty(function, x, variables):
    """Value, gradient by x, and gradients of that gradient's square by variables."""
    with tf.GradientTape() as tape:
        y, gradient = gradients(function, x)
        penalty = tf.reduce_sum(gradient**2)
    return [y, gradient, *tape.gradient(penalty, variables)]


def same(layer, function, *inputs):
    """Value and gradients of a layer are those of a plain function of its inputs and its kernel."""
    values = *inputs, layer.kernel.numpy()

    def of_layer(*values):
        *inputs, layer.kernel = values
        return layer.call(inputs if len(inputs) > 1 else inputs[0])

    for ours, theirs in zip(gradients(of_layer, *values), gradients(function, *values), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("padding", MODES)
@pytest.mark.parametrize(("size", "strides"), [(1, 1), (3, 1), (5, 1), (7, 1), (3, 2)])
def test_a_convolution_is_the_plain_one(size, strides, padding):
    layer = convolutions.Convolution(2, size, strides, padding)
    assert layer(X).shape == layer.compute_output_spec(keras.KerasTensor(X.shape)).shape
    same(layer, lambda x, k: plain(x, k, padding, strides), X)


@pytest.mark.parametrize("padding", MODES)
def test_an_upsampling_convolution_is_the_plain_one_on_repeated_voxels(padding):
    layer = convolutions.UpsamplingConvolution(2, padding=padding)
    assert layer(X).shape == layer.compute_output_spec(keras.KerasTensor(X.shape)).shape == (2, 16, 24, 16, 2)
    same(layer, lambda x, k: plain(repeated(x), k, padding), X)


@pytest.mark.parametrize("padding", MODES)
@pytest.mark.parametrize("batch", [1, 2])
def test_an_upsampling_join_is_the_plain_convolution_of_joined_channels(padding, batch):
    inputs = X[:batch], np.random.default_rng(2).normal(size=(batch, 16, 24, 16, 5)).astype(np.float32)
    layer = convolutions.UpsamplingJoin(4, padding=padding)
    assert layer(inputs).shape == layer.compute_output_spec([keras.KerasTensor(x.shape) for x in inputs]).shape

    def textbook(coarse, fine, kernel):
        return plain(tf.concat([repeated(coarse), fine], axis=-1), kernel, padding)

    same(layer, textbook, *inputs)


@pytest.mark.parametrize(
    ("kind", "space"),
    [("PatchConv3D", (4, 6, 8)), ("PatchConv3D", (1, 1, 1)), ("PatchConv3D", (3, 2, 5)), ("FoldedConv3D", (4, 6, 8))],
)
def test_a_convolution_in_another_form_is_keras_own_with_its_second_derivatives(kind, space):
    x = np.random.default_rng(1).normal(size=(2, *space, 3)).astype(np.float32)
    options = {"strides": 2, "padding": "same", "bias_initializer": "ones"}
    layers = [getattr(convolutions, kind)(5, 4, **options), keras.layers.Conv3D(5, 4, **options)]
    results = []
    for layer in layers:
        layer.build(x.shape)
        layer.kernel.assign(layers[0].kernel)
        results.append(with_penalty(lambda x, layer=layer: tf.sin(layer(x)), x, layer.trainable_variables))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4)
