import numpy as np
import pytest
import tensorflow as tf

from segsrgan_core import losses


def volume(*channels):
    """A volume of 1 x 1 x 2 voxels; one pair of values a channel."""
    return tf.constant(np.array(channels, np.float32).T.reshape(1, 1, 1, 2, len(channels)))


def test_charbonnier_by_hand():
    # differences 3, 0, 0, 4: (3 + 0.001 + 0.001 + 4) / 4
    value = losses.charbonnier(volume([3, 1], [0, 4]), volume([0, 1], [0, 0]))
    assert float(value) == pytest.approx((3 + 0.001 + 0.001 + 4) / 4, abs=1e-6)


def test_the_image_is_half_of_the_reconstruction():
    # image |3|, 0; classes 0, 0, 0, |4|: ((3 + 0.001) / 2 + (4 + 0.003) / 4) / 2
    value = losses.reconstruction(volume([3, 1], [0, 4], [0, 0]), volume([0, 1], [0, 0], [0, 0]))
    assert float(value) == pytest.approx((3.001 / 2 + 4.003 / 4) / 2, abs=1e-6)
    one = volume([3, 1], [0, 4]), volume([0, 1], [0, 0])
    assert float(losses.reconstruction(*one)) == pytest.approx(float(losses.charbonnier(*one)), rel=1e-6)


def test_soft_dice_by_hand():
    # (2 * 0.5 + 1) / (1 + 0.25 + 0.25 + 1) = 0.8
    value = losses.soft_dice(volume([9, 9], [1, 0]), volume([0, 0], [0.5, 0.5]))
    assert float(value) == pytest.approx(1 - 2 / 2.5, abs=1e-6)


def test_soft_dice_leaves_the_background_and_the_image_out():
    truth, guess = volume([1, 2], [1, 0], [0, 1]), volume([5, 5], [0, 0], [0, 1])
    assert float(losses.soft_dice(truth, guess)) == pytest.approx(0, abs=1e-6)


def test_adversarial_by_hand():
    assert float(losses.adversarial(tf.constant([[1.0], [3.0]]), tf.constant([[0.5], [0.5]]))) == pytest.approx(1.5)


class LinearCritic:
    """D(x) = sum a x: its gradient is a, whatever x."""

    def __init__(self, a):
        self.a = tf.Variable(a, dtype=tf.float32)

    def __call__(self, x, training=True):
        return tf.reduce_sum(self.a * x, axis=[1, 2, 3, 4])[:, None]


def test_gradient_penalty_of_a_linear_critic_by_hand():
    # |a| = sqrt(2 voxels * (3^2 + 4^2)) = sqrt(50): (sqrt(50) - 1)^2
    critic = LinearCritic([3.0, 4.0])
    value = losses.gradient_penalty(critic, volume([1, 2], [3, 4]), volume([0, 0], [0, 0]), tf.constant([0.3]))
    assert float(value) == pytest.approx((np.sqrt(50) - 1) ** 2, rel=1e-6)


def test_the_second_order_gradient_of_a_linear_critic_by_hand():
    # d/da (sqrt(2) |a| - 1)^2 = 2 (sqrt(2) |a| - 1) sqrt(2) a / |a|
    critic = LinearCritic([3.0, 4.0])
    with tf.GradientTape() as tape:
        value = losses.gradient_penalty(critic, volume([1, 2], [3, 4]), volume([0, 0], [0, 0]), tf.constant([0.3]))
    expected = 2 * (np.sqrt(50) - 1) * np.sqrt(2) * np.array([3, 4]) / 5
    np.testing.assert_allclose(tape.gradient(value, critic.a), expected, rtol=1e-5)


def test_epsilon_mixes_each_sample_alike_in_all_channels():
    seen = []

    def critic(x, training=True):
        seen.append(x.numpy())
        return tf.reduce_sum(tf.square(x), axis=[1, 2, 3, 4])[:, None]

    real, fake = tf.ones((2, 1, 1, 2, 2)), tf.zeros((2, 1, 1, 2, 2))
    losses.gradient_penalty(critic, real, fake, tf.constant([0.25, 1.0]))
    np.testing.assert_allclose(seen[0][0], 0.75)
    np.testing.assert_allclose(seen[0][1], 0.0)


@pytest.mark.parametrize("loss", [losses.charbonnier, losses.soft_dice])
def test_gradients_agree_with_finite_differences(loss):
    rng = np.random.default_rng(0)
    real = tf.constant(rng.random((1, 2, 2, 2, 2)), tf.float64)
    fake = tf.constant(rng.random((1, 2, 2, 2, 2)), tf.float64)
    direction = tf.constant(rng.normal(size=fake.shape), tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(fake)
        value = loss(real, fake)
    slope = float(tf.reduce_sum(tape.gradient(value, fake) * direction))
    h = 1e-6
    finite = float(loss(real, fake + h * direction) - loss(real, fake - h * direction)) / (2 * h)
    assert slope == pytest.approx(finite, rel=1e-6)
