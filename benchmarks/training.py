"""One training iteration, 5 critic steps and one generator step: the published design, ours, and ours with its data."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.published import PublishedTraining, as_first, published_critic, published_generator
from benchmarks.size import Size, head
from benchmarks.timing import comparison, interleaved, spread
from segsrgan_core.classes import Classes
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.patches import patch_dataset, prepare_subject
from segsrgan_core.settings import TrainingSettings
from segsrgan_core.training import Trainer

N_CRITIC = 5
CORTEX = Classes(("cortex",))


def training_iteration(size: Size) -> dict:
    """Compare both at the published network (residual, 7^3, mirrored edges), for each batch.

    Returns:
        By "batch N": a `timing.comparison`, and `share_outside`, the share of an iteration on drawn patches that an
        iteration on patches in memory does without: drawing, copying, waiting.
    """
    return {f"batch {batch}": _compare(size, batch) for batch in size.batches}


def _compare(size: Size, batch: int) -> dict:
    x, y, epsilon = _patches(size, batch)
    first = as_first(x), as_first(y), epsilon
    theirs = PublishedTraining(published_generator(size.k), published_critic(size.critic_width), N_CRITIC)
    settings = TrainingSettings(patch=size.patch, batch=batch, n_critic=N_CRITIC, decay=0, average=0)
    trainer = paper_trainer(size, settings)
    inside = [tf.constant(array) for array in (x, y, epsilon)]
    times = interleaved(
        {
            "published": lambda: theirs.iteration(*first),
            "ours": lambda: trainer.adversarial(*inside)["loss_rec"].numpy(),
            "with data": _with_data(trainer, settings, size, inside[2]),
        },
        size.rounds if batch == 1 else max(2, size.rounds - 2),
    )
    outside = [1 - a / b for a, b in zip(times["ours"].clock, times["with data"].clock, strict=True)]
    return {**comparison(times["published"], times["with data"]), "share_outside": spread(outside)}


def paper_trainer(size: Size, settings: TrainingSettings, precision: str = "auto", seed: int = 0) -> Trainer:
    """Build the published networks as our layers, in the precision that is fastest here unless one is named."""
    policy = choose_policy(precision)
    generator = build_generator("residual", size.k, policy=policy, seed=seed)
    return Trainer(generator, build_critic(2, size.critic_width, policy, seed=seed), settings)


def _patches(size: Size, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.random((N_CRITIC + 1, batch, *[size.patch] * 3, 1), np.float32)
    y = np.concatenate([x, (x > 0.5).astype(np.float32)], axis=-1)
    return x, y, rng.random((N_CRITIC, batch), np.float32)


def _with_data(trainer: Trainer, settings: TrainingSettings, size: Size, epsilon: tf.Tensor) -> Callable:
    image = head(tuple(2 * size.patch for _ in range(3)))
    labels = np.where(image > 1, 2, np.where(image > 0, 3, 0)).astype(np.uint8)
    subject = prepare_subject("head", image, labels, CORTEX, 0.5, 3.0, size.patch, seed=0)
    n, batch = N_CRITIC + 1, settings.batch
    patches = patch_dataset([subject], settings, CORTEX, thickness_channel=False, seed=0, start=0)
    stream = iter(patches.batch(n * batch, drop_remainder=True).prefetch(2))

    def iteration() -> np.ndarray:
        drawn = [tf.reshape(one, (n, batch, *one.shape[1:])) for one in next(stream)]
        return trainer.adversarial(*drawn, epsilon)["loss_rec"].numpy()

    return iteration
