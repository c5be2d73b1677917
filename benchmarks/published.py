"""The published design: the same networks, built and trained as the public implementation does.

Channels first, float32, mirrored edges by padding, Keras's GroupNormalization as instance norm; fakes through `predict`
of generator and critic together, interpolates of the gradient penalty on the host, the critic's gradients calculated
and not used in the generator's step, Keras's own Adam. Keras 3 would compile a channels-first convolution with XLA,
which is 10 to 30 times slower on a processor; TensorFlow 2.15 did not, and neither does this module.

Arrays are (B, C, P, P, P). Weights are in the order of our own networks, so that both can be given the same.
"""

import keras
import numpy as np
import tensorflow as tf

from segsrgan_core.losses import adversarial, charbonnier, gradient_penalty

WINDOW, STEP = 128, 30  # of inference, voxels
FIRST = "channels_first"


class FirstConv3D(keras.layers.Conv3D):
    """A channels-first convolution by TensorFlow, not by Keras."""

    def call(self, inputs):
        """Convolve, add the bias if there is one."""
        strides, padding = (1, 1, *self.strides), self.padding.upper()
        result = tf.nn.conv3d(inputs, tf.convert_to_tensor(self.kernel), strides, padding, data_format="NCDHW")
        return result + tf.reshape(self.bias, (1, -1, 1, 1, 1)) if self.use_bias else result


def published_generator(k: int = 16, kernel: int = 7) -> keras.Model:
    """Build the residual generator: (B, 1, P, P, P) -> (B, 2, P, P, P)."""

    def conv(x, channels, size=3, stride=1):
        if stride == 1:
            x = keras.ops.pad(x, [[0, 0], [0, 0], *[[size // 2] * 2] * 3], "reflect")
        padding = "valid" if stride == 1 else "same"
        options = {"strides": stride, "padding": padding, "data_format": FIRST, "use_bias": False}
        return FirstConv3D(channels, size, **options)(x)

    def unit(x, channels, size=3, stride=1):
        return keras.layers.ReLU()(normalise(conv(x, channels, size, stride)))

    def normalise(x):
        return keras.layers.GroupNormalization(groups=-1, axis=1, epsilon=1e-3)(x)

    inputs = keras.Input((1, None, None, None))
    x = unit(unit(unit(inputs, k, kernel), 2 * k, stride=2), 4 * k, stride=2)
    for _ in range(6):
        x = keras.layers.Add()([x, normalise(conv(unit(x, 4 * k), 4 * k))])
    for channels in (2 * k, k):
        x = unit(keras.layers.UpSampling3D(2, data_format=FIRST)(x), channels)
    scores = conv(x, 2, kernel)
    image = inputs + keras.ops.std(inputs, axis=(2, 3, 4), keepdims=True) * scores[:, :1]
    cortex = keras.ops.sigmoid(scores[:, 1:] - 2.0)  # log-odds of the background, as in our head
    return keras.Model(inputs, keras.ops.concatenate([image, cortex], axis=1))


def published_critic(width: int = 32) -> keras.Model:
    """Build the critic: (B, 2, P, P, P) -> (B, 1)."""
    inputs = x = keras.Input((2, None, None, None))
    for level in range(5):
        x = FirstConv3D(width * 2**level, 4, strides=2, padding="same", data_format=FIRST)(x)
        x = keras.layers.LeakyReLU(negative_slope=0.01)(x)
    x = keras.layers.GlobalAveragePooling3D(data_format=FIRST)(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


class PublishedTraining:
    """One iteration of the published training.

    Args:
        generator: (B, 1, P, P, P) -> (B, 2, P, P, P).
        critic: (B, 2, P, P, P) -> (B, 1).
        n_critic: critic steps per generator step.
        lambda_rec: weight of the Charbonnier distance.
        lambda_adv: weight of the critic in the generator's objective.
        lambda_gp: weight of the gradient penalty.
    """

    def __init__(self, generator, critic, n_critic=5, lambda_rec=1.0, lambda_adv=1e-3, lambda_gp=10.0):
        self.generator, self.critic, self.n_critic = generator, critic, n_critic
        self.weights = lambda_rec, lambda_adv, lambda_gp
        self.both = keras.Model(generator.input, [critic(generator.output), generator.output])
        self.optimizers = [keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.999) for _ in range(2)]
        for optimizer, model in zip(self.optimizers, (generator, critic), strict=True):
            optimizer.build(model.trainable_variables)

    def iteration(self, x: np.ndarray, y: np.ndarray, epsilon: np.ndarray) -> float:
        """Take n_critic critic steps and one generator step; x, y (n_critic + 1, B, ...), epsilon (n_critic, B)."""
        for i in range(self.n_critic):
            _, fake = self.both.predict(x[i], batch_size=len(x[i]), verbose=0)
            share = epsilon[i].reshape(-1, 1, 1, 1, 1)
            mixed = ((1 - share) * y[i] + share * fake).astype(np.float32)
            self._critic_step(tf.constant(y[i]), tf.constant(fake), tf.constant(mixed))
        loss, _ = self._generator_step(tf.constant(x[-1]), tf.constant(y[-1]))
        return float(loss)

    @tf.function(jit_compile=False)
    def _critic_step(self, real, fake, mixed):
        with tf.GradientTape() as tape:
            score = adversarial(self.critic(real, training=True), self.critic(fake, training=True))
            # With both ends the same and epsilon 0 the penalty is taken at the interpolates themselves.
            penalty = gradient_penalty(self.critic, mixed, mixed, tf.zeros(len(mixed)))
            loss = self.weights[2] * penalty - score
        gradients = tape.gradient(loss, self.critic.trainable_variables)
        self.optimizers[1].apply(gradients, self.critic.trainable_variables)
        return loss

    @tf.function(jit_compile=False)
    def _generator_step(self, x, y):
        n = len(self.generator.trainable_variables)
        with tf.GradientTape() as tape:
            fake = self.generator(x, training=True)
            score = tf.reduce_mean(self.critic(fake, training=True))
            loss = self.weights[0] * charbonnier(y, fake) - self.weights[1] * score
        variables = [*self.generator.trainable_variables, *self.critic.trainable_variables]
        gradients = tape.gradient(loss, variables)
        self.optimizers[0].apply(gradients[:n], self.generator.trainable_variables)
        return loss, gradients[n:]  # returned, or TensorFlow would not compute them


def window_count(shape: tuple[int, ...], window: int = WINDOW, step: int = STEP) -> int:
    """Return how many windows the published inference takes: edges are filled with zeros until the last one fits."""
    return int(np.prod([1 + max(0, -(-(n - window) // step)) for n in shape]))


def as_first(array: np.ndarray) -> np.ndarray:
    """Turn (..., X, Y, Z, C) into (..., C, X, Y, Z)."""
    return np.ascontiguousarray(np.moveaxis(array, -1, -4))
