"""The objectives of the talk, in its notation.

All take float32 tensors (B, X, Y, Z, 1 + n): the image, then the class probabilities. (X, S_X) is `real`, G(Z) is
`fake`.
"""

import tensorflow as tf


def charbonnier(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """L_rec = 1/n sum_i sqrt((real_i - fake_i)^2 + 1e-6) (Charbonnier et al. 1997); a scalar."""
    return tf.reduce_mean(tf.sqrt(tf.square(real - fake) + 1e-6))


def reconstruction(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """L_rec with the image as one half and the segmentation as the other, however many classes it has; a scalar.

    With one class it is the talk's mean over both channels.
    """
    return (charbonnier(real[..., :1], fake[..., :1]) + charbonnier(real[..., 1:], fake[..., 1:])) / 2


def soft_dice(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Return 1 - mean Dice of the classes; a scalar in [0, 1].

    Dice = (2 sum s g + 1) / (sum s^2 + sum g^2 + 1) over the voxels of each sample and class (Milletari et al. 2016,
    eq. 3); the 1 makes a class that is in neither perfect. With more than one class the first is the background and
    does not count.
    """
    first = 1 if real.shape[-1] == 2 else 2
    truth, guess = real[..., first:], fake[..., first:]
    voxels = [1, 2, 3]
    both = tf.reduce_sum(truth * guess, voxels)
    either = tf.reduce_sum(tf.square(truth), voxels) + tf.reduce_sum(tf.square(guess), voxels)
    return 1 - tf.reduce_mean((2 * both + 1) / (either + 1))


def cross_entropy(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Return the mean over voxels of -sum_c s_c log g_c, the binary form where there is one class; a scalar in nats."""
    truth, guess = real[..., 1:], tf.clip_by_value(fake[..., 1:], 1e-6, 1 - 1e-6)
    if real.shape[-1] == 2:
        return -tf.reduce_mean(truth * tf.math.log(guess) + (1 - truth) * tf.math.log(1 - guess))
    return -tf.reduce_mean(tf.reduce_sum(truth * tf.math.log(guess), axis=-1))


def adversarial(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """L_adv = E[D((X, S_X))] - E[D(G(Z))]; scores (B, 1); a scalar."""
    return tf.reduce_mean(real_scores) - tf.reduce_mean(fake_scores)


def gradient_penalty(critic, real: tf.Tensor, fake: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """L_gp = E[(||grad D(XS^)||_2 - 1)^2], XS^ = (1 - eps) real + eps fake (Gulrajani et al. 2017, eq. 3).

    Args:
        critic: maps (B, X, Y, Z, C) to (B, 1).
        real: (B, X, Y, Z, C).
        fake: (B, X, Y, Z, C).
        epsilon: (B,), in [0, 1]: one for each sample, the same in all its channels.

    Returns:
        A scalar.
    """
    epsilon = tf.reshape(epsilon, (-1, 1, 1, 1, 1))
    mixed = (1 - epsilon) * real + epsilon * fake
    with tf.GradientTape() as tape:
        tape.watch(mixed)
        scores = critic(mixed, training=True)
    gradient = tape.gradient(scores, mixed)
    # 1e-12 keeps the root's own gradient finite where the critic is flat.
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3, 4]) + 1e-12)
    return tf.reduce_mean(tf.square(norm - 1))
