"""Objectives of SegSRGAN in the notation of the paper: (X, S_X) is `real`, G(Z) is `fake`, both float32.

Voxel-wise terms take images (1, B, X, Y, Z) and maps of class probabilities (n, B, X, Y, Z), see `parts`: with the
voxels of a channel contiguous in memory they take a third of the time. The critic's terms take (B, X, Y, Z, 1 + n).

TensorFlow adds three or more gradients of one tensor in the order in which they are ready, which changes the rounding
from run to run; a sum of two does not. `tf.identity` therefore limits the uses of each tensor to two.
"""

from collections.abc import Callable

import tensorflow as tf

from segsrgan_core.settings import TrainingSettings

Pair = tuple[tf.Tensor, tf.Tensor]  # real and fake


def parts(real: tf.Tensor, fake: tf.Tensor, groups: tuple[int, ...]) -> list[Pair]:
    """Return the pair of images and, for each group of classes (numbers of channels), the pair of maps.

    Truth and output of the network are float32 (B, X, Y, Z, 1 + n).
    """
    sizes = (1, *groups)
    split = (tf.split(tf.transpose(one, (4, 0, 1, 2, 3)), sizes) for one in (real, fake))
    return list(zip(*split, strict=True))


def charbonnier(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Return 1/n sum_i sqrt((real_i - fake_i)^2 + 1e-6), a scalar (Charbonnier et al. 1997); tensors of one shape."""
    return tf.reduce_mean(tf.sqrt(tf.square(real - fake) + 1e-6))


def soft_dice(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Return 1 - mean Dice of the classes, a scalar in [0, 1]; maps (n, B, X, Y, Z).

    Dice = (2 sum s g + 1) / (sum s^2 + sum g^2 + 1) over the voxels of each sample and class (Milletari et al. 2016,
    eq. 3); with the 1, a class that is in neither map scores 1. If n > 1 the first class, the background, is left out.
    """
    voxels, fake = [2, 3, 4], tf.identity(fake)
    both = tf.reduce_sum(real * fake, voxels)
    either = tf.reduce_sum(tf.square(real), voxels) + tf.reduce_sum(tf.square(fake), voxels)
    of_each = (2 * both + 1) / (either + 1)
    return 1 - tf.reduce_mean(of_each if real.shape[0] == 1 else of_each[1:])


def cross_entropy(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """Return the mean over voxels of -sum_c s_c log g_c, or its binary form if n = 1, a scalar in nats."""
    guess = tf.clip_by_value(fake, 1e-6, 1 - 1e-6)
    if real.shape[0] == 1:
        return -tf.reduce_mean(real * tf.math.log(guess) + (1 - real) * tf.math.log(1 - guess))
    return -tf.reduce_mean(tf.reduce_sum(real * tf.math.log(guess), axis=0))


def overlap(maps: Pair) -> tuple[tf.Tensor, tf.Tensor]:
    """Return `soft_dice` and `cross_entropy` of a pair of maps, two scalars."""
    real, fake = maps[0], tf.identity(maps[1])
    return soft_dice(real, fake), cross_entropy(real, fake)


def adversarial(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """Return L_adv = E[D((X, S_X))] - E[D(G(Z))], a scalar; scores (B, 1)."""
    return tf.reduce_mean(real_scores) - tf.reduce_mean(fake_scores)


def gradient_penalty(critic, real: tf.Tensor, fake: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
    """Return L_gp = E[(||grad D(XS^)||_2 - 1)^2], XS^ = (1 - eps) real + eps fake (Gulrajani et al. 2017, eq. 3).

    The critic is a model from (B, X, Y, Z, C), as `real` and `fake` are, to (B, 1); `epsilon` is float32 (B,) in
    [0, 1], one value per sample for all its channels.
    """
    epsilon = tf.reshape(epsilon, (-1, 1, 1, 1, 1))
    mixed = (1 - epsilon) * real + epsilon * fake
    with tf.GradientTape() as tape:
        tape.watch(mixed)
        scores = critic(mixed, training=True)
    gradient = tape.gradient(scores, mixed)
    # 1e-12 keeps the gradient of the root finite if the critic is flat.
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=[1, 2, 3, 4]) + 1e-12)
    return tf.reduce_mean(tf.square(norm - 1))


def generator_objective(settings: TrainingSettings, groups: tuple[int, ...]) -> Callable:
    """Return the generator's objective, the sum of the terms above weighted by `lambda_*` of the settings.

    It is a function of real and fake, float32 (B, X, Y, Z, 1 + n), and the critic's scores of fake, (B, 1) or None
    before the critic takes part. It returns the objective and its terms by name without weights, all scalars.
    """

    def objective(real: tf.Tensor, fake: tf.Tensor, scores: tf.Tensor | None = None) -> tuple[tf.Tensor, dict]:
        images, tissues, *sides = parts(real, fake, groups)
        image = charbonnier(*images)
        rec = (image + charbonnier(*tissues)) / 2
        weighted = settings.lambda_dice or settings.lambda_ce
        dice, entropy = overlap(tissues) if weighted else (tf.zeros(()), tf.zeros(()))
        total = settings.lambda_rec * rec + settings.lambda_image * image
        total += settings.lambda_dice * dice + settings.lambda_ce * entropy
        for pair in sides:
            total += settings.lambda_sides * sum(overlap(pair))
        terms = {"loss_rec": rec, "loss_dice": dice, "loss_ce": entropy}
        if scores is not None:
            terms["loss_adv"] = -tf.reduce_mean(scores)  # E[D((X, S_X))] does not depend on G
            total += settings.lambda_adv * terms["loss_adv"]
        return total, terms

    return objective


def critic_objective(settings: TrainingSettings) -> Callable:
    """Return the critic's objective, lambda_gp L_gp - L_adv, a function of the arguments of `gradient_penalty`."""

    def objective(critic: Callable, real: tf.Tensor, fake: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        scores = tf.split(critic(tf.concat([real, fake], 0), training=True), 2)
        return settings.lambda_gp * gradient_penalty(critic, real, fake, epsilon) - adversarial(*scores)

    return objective
