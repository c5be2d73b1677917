import numpy as np
import pytest
import tensorflow as tf

from segsrgan_core import losses
from tests.settings import training


def volume(*channels):
    """A volume of 1 x 1 x 2 voxels, channels first; one pair of values a channel."""
    return tf.constant(np.array(channels, np.float32).reshape(len(channels), 1, 1, 1, 2))


def seen(*channels):
    """The same as the networks see it."""
    return tf.transpose(volume(*channels), (1, 2, 3, 4, 0))


def test_parts_are_the_image_and_the_groups_of_classes():
    real, fake = seen([1, 2], [3, 4], [5, 6], [7, 8]), seen([0, 0], [1, 1], [2, 2], [3, 3])
    images, one, two = losses.parts(real, fake, (1, 2))
    for pair, expected in zip((images, one, two), ([[1, 2]], [[3, 4]], [[5, 6], [7, 8]]), strict=True):
        np.testing.assert_array_equal(pair[0], volume(*expected))
    np.testing.assert_array_equal(two[1], volume([2, 2], [3, 3]))


SURE = volume([1, 0], [0, 0], [0, 1])
TWO_SAMPLES = tf.concat([volume([0, 0], [1, 1], [0, 0]), volume([0, 0], [0, 0], [1, 0])], 1)


@pytest.mark.parametrize(
    ("loss", "real", "fake", "expected"),
    [
        # differences 3, 0, 0, 4
        (losses.charbonnier, volume([3, 1], [0, 4]), volume([0, 1], [0, 0]), (3 + 0.001 + 0.001 + 4) / 4),
        # 1 - (2 * 0.5 + 1) / (1 + 0.25 + 0.25 + 1)
        (losses.soft_dice, volume([1, 0]), volume([0.5, 0.5]), 1 - 2 / 2.5),
        # the background is left out
        (losses.soft_dice, volume([1, 0], [0, 1]), volume([0, 0], [0, 1]), 0),
        (losses.cross_entropy, volume([1, 0]), volume([0.8, 0.4]), -(np.log(0.8) + np.log(0.6)) / 2),
        (losses.cross_entropy, SURE, volume([0.5, 0.1], [0.2, 0.2], [0.3, 0.7]), -(np.log(0.5) + np.log(0.7)) / 2),
        # classes, samples and voxels: (1/3 + 1) / 2 for the first sample, (1 + 1/2) / 2 for the second
        (losses.soft_dice, TWO_SAMPLES, tf.zeros((3, 2, 1, 1, 2)), 1 - (1 / 3 + 1 + 1 + 1 / 2) / 4),
        # wrong and certain: finite
        (losses.cross_entropy, volume([1, 1]), volume([0, 0]), -np.log(1e-6)),
        (losses.cross_entropy, volume([0, 0]), volume([1, 1]), -np.log(1 - np.float32(1 - 1e-6))),
        (losses.cross_entropy, volume([1, 1], [0, 0]), volume([0, 0], [1, 1]), -np.log(1e-6)),
        (losses.adversarial, tf.constant([[1.0], [3.0]]), tf.constant([[0.5], [0.5]]), 1.5),
    ],
)
def test_a_loss_by_hand(loss, real, fake, expected):
    assert float(loss(real, fake)) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_image_is_half_of_the_reconstruction():
    # image |3|, 0; classes 0, 0, 0, |4|: ((3 + 0.001) / 2 + (4 + 0.003) / 4) / 2
    real, fake = seen([3, 1], [0, 4], [0, 0]), seen([0, 1], [0, 0], [0, 0])
    total, terms = losses.generator_objective(training(), (2,))(real, fake)
    assert float(total) == float(terms["loss_rec"]) == pytest.approx((3.001 / 2 + 4.003 / 4) / 2, abs=1e-6)


@pytest.mark.parametrize(("slope", "expected"), [([3.0, 4.0], (np.sqrt(50) - 1) ** 2), ([0.0, 0.0], 1)])
def test_gradient_penalty_of_a_linear_critic_by_hand_even_if_it_is_flat(slope, expected):
    # |slope| over two voxels: sqrt(2 * (3^2 + 4^2)) = sqrt(50); by the slope s: 2 (sqrt(50) - 1) * 2 s / sqrt(50)
    slope = tf.Variable(slope)

    def critic(x, training=True):
        return tf.reduce_sum(slope * x, axis=[1, 2, 3, 4])[:, None]

    with tf.GradientTape() as tape:
        value = losses.gradient_penalty(critic, seen([1, 2], [3, 4]), seen([0, 0], [0, 0]), tf.constant([0.3]))
    assert float(value) == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(tape.gradient(value, slope), 4 * (1 - 1 / np.sqrt(50)) * slope.numpy(), rtol=1e-5)


def test_the_penalty_is_taken_at_the_mixture_and_is_the_mean_over_samples():
    # D(x) = |x|^2 / 2 has the gradient x. (1 - eps) real + eps fake is (3, 4) of norm 5, and (3, 0) of norm 3.
    def critic(x, training=True):
        return tf.reduce_sum(tf.square(x), axis=[1, 2, 3, 4])[:, None] / 2

    pairs = [[2.0, 8.0], [2.0, 0.0]], [[6.0, -8.0], [4.0, 0.0]]
    real, fake = (tf.reshape(tf.constant(values), (2, 1, 1, 1, 2)) for values in pairs)
    value = losses.gradient_penalty(critic, real, fake, tf.constant([0.25, 0.5]))
    assert float(value) == pytest.approx(((5 - 1) ** 2 + (3 - 1) ** 2) / 2, rel=1e-6)
