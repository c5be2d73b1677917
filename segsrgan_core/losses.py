"""The objectives of the talk, in its notation.

All take float32 tensors (B, X, Y, Z, 1 + n): the image, then the class probabilities. (X, S_X) is `real`, G(Z) is
`fake`.
"""

import tensorflow as tf


def charbonnier(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """L_rec = 1/n sum_i sqrt((real_i - fake_i)^2 + 1e-6) (Charbonnier et al. 1997); a scalar."""
    return tf.reduce_mean(tf.sqrt(tf.square(real - fake) + 1e-6))


def soft_dice(real: tf.Tensor, fake: tf.Tensor, groups: tuple[int, ...] | None = None) -> tf.Tensor:
    """Return 1 - mean Dice of the classes; a scalar in [0, 1].

    Dice = (2 sum s g + 1) / (sum s^2 + sum g^2 + 1) over the voxels of each sample and class (Milletari et al. 2016,
    eq. 3); the 1 makes a class that is in neither perfect. In a group of more than one class the first is the
    background and does not count.

    Args:
        real: (B, X, Y, Z, 1 + n).
        fake: the same.
        groups: sizes of the groups of classes, n together; one group if not given.
    """
    scores = []
    for truth, guess in _groups(real, fake, groups):
        first = 0 if truth.shape[-1] == 1 else 1
        truth, guess, voxels = truth[..., first:], guess[..., first:], [1, 2, 3]
        both = tf.reduce_sum(truth * guess, voxels)
        either = tf.reduce_sum(tf.square(truth), voxels) + tf.reduce_sum(tf.square(guess), voxels)
        scores.append(tf.reduce_mean((2 * both + 1) / (either + 1)))
    return 1 - tf.add_n(scores) / len(scores)


def cross_entropy(real: tf.Tensor, fake: tf.Tensor, groups: tuple[int, ...] | None = None) -> tf.Tensor:
    """Return the mean over voxels and groups of -sum_c s_c log g_c; a scalar in nats.

    Args:
        real: (B, X, Y, Z, 1 + n).
        fake: the same.
        groups: sizes of the groups of classes, n together; one group if not given. A single class has the binary form.
    """
    parts = []
    for truth, guess in _groups(real, fake, groups):
        guess = tf.clip_by_value(guess, 1e-6, 1 - 1e-6)
        logs = truth * tf.math.log(guess)
        if truth.shape[-1] == 1:
            logs += (1 - truth) * tf.math.log(1 - guess)
        parts.append(-tf.reduce_mean(tf.reduce_sum(logs, axis=-1)))
    return tf.add_n(parts) / len(parts)


def _groups(real: tf.Tensor, fake: tf.Tensor, groups: tuple[int, ...] | None) -> list[tuple[tf.Tensor, tf.Tensor]]:
    sizes = [1, *(groups or (real.shape[-1] - 1,))]
    return list(zip(tf.split(real, sizes, -1), tf.split(fake, sizes, -1), strict=True))[1:]


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
