"""Layers that Keras does not have, or has only in a slow form."""

import keras
import tensorflow as tf

from segsrgan_core.networks.bodies import BACKGROUND, EPSILON

SLOPE = 0.01  # of `LeakyReLU` below 0
# TensorFlow would merge sums into sums of three and more terms, and add those in the order in which they are ready,
# which changes the rounding from run to run. A sum of two does not change.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


class InstanceNormalization(keras.layers.Layer):
    """Instance normalisation of volumes (Ulyanov et al. 2016), through TensorFlow's fused batch normalisation.

    Each channel of each sample is normalised to mean 0 and variance 1 over its voxels, then scaled by `gamma` and
    shifted by `beta`; with `relu` a ReLU is applied in the same pass. It is several times as fast as
    `keras.layers.GroupNormalization(groups=-1)`. Input and output: (B, X, Y, Z, C).
    """

    def __init__(self, relu: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.relu = relu

    def build(self, input_shape):
        """Create gamma and beta, one of each per channel."""
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(shape=channels, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")

    def call(self, inputs):
        """Normalise each sample."""
        gamma, beta = tf.cast(self.gamma, tf.float32), tf.cast(self.beta, tf.float32)
        if inputs.shape[0] == 1:  # statistics of a batch are those of its sample
            shape = tf.shape(inputs)
            as_image = tf.reshape(inputs, (1, shape[1] * shape[2], shape[3], inputs.shape[-1]))
            fused = tf.compat.v1.nn.fused_batch_norm(as_image, gamma, beta, epsilon=EPSILON, is_training=True)
            normalised = tf.reshape(fused[0], shape)
        else:
            exact = tf.cast(inputs, tf.float32)
            mean, variance = tf.nn.moments(exact, [1, 2, 3], keepdims=True)
            normalised = tf.nn.batch_normalization(exact, mean, variance, beta, gamma, EPSILON)
            normalised = tf.cast(normalised, inputs.dtype)
        return tf.nn.relu(normalised) if self.relu else normalised


class LeakyReLU(keras.layers.Layer):
    """Leaky ReLU, as `keras.layers.LeakyReLU`, without the second derivative of zeros.

    TensorFlow propagates a tensor of zeros, the second derivative, back through the whole network when it computes a
    gradient penalty; here it stops. The negative part is multiplied by 0.01.
    """

    def call(self, inputs):
        """Scale what is negative."""

        @tf.custom_gradient
        def sloped(gradient, features):
            product = tf.raw_ops.LeakyReluGrad(gradients=gradient, features=features, alpha=SLOPE)
            return product, lambda outer: (sloped(outer, features), None)

        @tf.custom_gradient
        def rectified(features):
            return tf.nn.leaky_relu(features, SLOPE), lambda outer: sloped(outer, features)

        return rectified(inputs)


class ImageAndClasses(keras.layers.Layer):
    """The two heads: the image as a residual on the interpolated image, and class probabilities.

    Instance normalisation removes the scale of the intensities from the features. The residual is therefore in units
    of the standard deviation of the window. The sum is computed in float32, so that a low-precision network does not
    round the image.

    Inputs: scores (B, X, Y, Z, 1 + n) of any float type, and the network's input (B, X, Y, Z, 1 or 2), whose first
    channel is the interpolated image. Output: float32 (B, X, Y, Z, 1 + n), the image, then for each group of classes a
    sigmoid (one class) or a softmax. `groups` are their numbers of channels, n in total.
    """

    def __init__(self, groups: tuple[int, ...], **kwargs):
        super().__init__(**kwargs)
        self.groups = groups

    def call(self, scores, inputs):
        """Return image and probabilities; between the transpositions (1 + n, B, X, Y, Z)."""
        scores = tf.cast(tf.transpose(scores, (4, 0, 1, 2, 3)), tf.float32)
        interpolated = tf.cast(inputs[..., 0], tf.float32)
        residual, *groups = tf.split(scores, (1, *self.groups))
        image = interpolated + tf.math.reduce_std(interpolated, [1, 2, 3], keepdims=True) * residual
        volumes = tf.concat([image, *map(self._probabilities, groups)], axis=0)
        return tf.transpose(volumes, (1, 2, 3, 4, 0))

    def _probabilities(self, scores):
        n = scores.shape[0]
        if n == 1:
            return tf.sigmoid(scores - BACKGROUND)
        scores += tf.reshape([BACKGROUND, *[0.0] * (n - 1)], (n, 1, 1, 1, 1))
        exponentials = tf.exp(scores - tf.stop_gradient(tf.reduce_max(scores, axis=0)))
        return exponentials / tf.reduce_sum(exponentials, axis=0)
