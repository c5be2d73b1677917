"""Time of a training iteration, 5 critic steps and one generator step: the published design and ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice

import numpy as np
import tensorflow as tf

from benchmarks.common import Size, comparison, head, interleaved, settings_of, spread
from benchmarks.published import PublishedTraining, as_first, published_critic, published_generator
from segsrgan_core.classes import Classes
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.patches import patch_dataset, prepare_subject
from segsrgan_core.training import Trainer
from segsrgan_study.params import Settings
from segsrgan_study.steps.network.build import generator_arguments
from segsrgan_study.steps.network.drawing import drawing_processes

CORTEX = Classes(("cortex",))


def training(size: Size) -> dict:
    """Compare both on the published networks (residual, 7^3, mirrored edges), for each batch size.

    Returns:
        By "batch N": a `common.comparison` of the published design on patches in memory and ours on drawn patches, and
        `share_outside`, the share of our iteration that is spent on drawing, copying and waiting for patches.
    """
    return {f"batch {batch}": _compare(size, settings_of("paper", size, batch)) for batch in size.batches}


def paper_trainer(settings: Settings) -> Trainer:
    """Build our networks in the precision that is fastest on this machine, and their trainer."""
    policy = choose_policy("auto")
    generator = build_generator(**generator_arguments(settings), policy=policy)
    return Trainer(generator, build_critic(2, settings.model.critic_width, policy), settings.training)


def _compare(size: Size, settings: Settings) -> dict:
    n, batch = settings.training.n_critic, settings.training.batch
    rng = np.random.default_rng(0)
    x = rng.random((n + 1, batch, *[size.patch] * 3, 1), np.float32)
    y, epsilon = np.concatenate([x, np.round(x)], axis=-1), rng.random((n, batch), np.float32)
    first = as_first(x), as_first(y), epsilon
    published = PublishedTraining(published_generator(size.k), published_critic(size.critic_width), n)
    trainer = paper_trainer(settings)
    inside = [tf.constant(array) for array in (x, y, epsilon)]

    def with_data() -> np.ndarray:
        drawn = [tf.reshape(one, (n + 1, batch, *one.shape[1:])) for one in next(patches)]
        return trainer.adversarial(*drawn, inside[2])["loss_rec"].numpy()

    work = {
        "published": lambda: published.iteration(*first),
        "in memory": lambda: trainer.adversarial(*inside)["loss_rec"].numpy(),
        "ours": with_data,
    }
    with _patches(settings) as patches:
        times = interleaved(work, size.rounds)
    outside = [1 - a / b for a, b in zip(times["in memory"], times["ours"], strict=True)]
    return {**comparison(times["published"], times["ours"]), "share_outside": spread(outside)}


@contextmanager
def _patches(settings: Settings) -> Iterator[Iterator]:
    """Yield an iterator over the patches of whole iterations, drawn from one head in the way of a training here."""
    image = head((2 * settings.training.patch,) * 3)
    labels = np.where(image > 1, 2, np.where(image > 0, 3, 0)).astype(np.uint8)
    options, simulation = settings.training, settings.simulation
    subjects = [prepare_subject("head", image, labels, CORTEX, 0.5, simulation, options.patch, seed=0)]
    arguments, iteration = (options, simulation, CORTEX, False), (options.n_critic + 1) * options.batch
    if not tf.config.list_physical_devices("GPU"):
        patches = patch_dataset(subjects, *arguments, seed=0, start=0)
        yield iter(patches.batch(iteration, drop_remainder=True).prefetch(2))
        return
    with drawing_processes(subjects, *arguments, seed=0) as patches_from:
        stream = patches_from(0)
        yield ([tf.stack(part) for part in zip(*islice(stream, iteration), strict=True)] for _ in count())
