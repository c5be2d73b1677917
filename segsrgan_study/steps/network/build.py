"""Networks of the settings, with the objectives that they are trained by, and trained weights to begin with."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from segsrgan_core.checkpoints import read_state
from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.segmenter import WEIGHTS, ModelCard, read_card
from segsrgan_core.training import Trainer
from segsrgan_study.params import Settings


def model_classes(settings: Settings) -> Classes:
    """Return the classes that the network segments."""
    return Classes(tuple(settings.model.classes), settings.model.hemispheres)


def generator_arguments(settings: Settings) -> dict:
    """Return the arguments of `build_generator`, without precision and seed."""
    model = settings.model
    same = model.model_dump(include={"k", "kernel", "padding", "hemispheres", "thickness_channel"})
    return {"name": model.generator, "n_classes": model_classes(settings).tissue_channels, **same}


def build_trainer(
    settings: Settings, objective: Callable | None = None, critic_objective: Callable | None = None
) -> Trainer:
    """Build the networks and their optimizers, on as many devices as the settings name.

    Objectives take the place of those of `losses`. The critic is None where the settings never let one take part.
    """
    model, policy = settings.model, choose_policy(settings.model.precision)
    with devices(settings.training.devices).scope():
        generator = build_generator(**generator_arguments(settings), policy=policy, seed=settings.seed)
        critic = None
        if settings.training.adversarial_from < 1:
            channels = generator.output_shape[-1] + model.thickness_channel
            critic = build_critic(channels, model.critic_width, policy, seed=settings.seed + 1000)
        groups = model_classes(settings).groups
        return Trainer(generator, critic, settings.training, groups, objective, critic_objective)


def start_from(generator: keras.Model, classes: Classes, folder: Path) -> None:
    """Copy the weights of a trained model into a fresh generator, which segments `classes`.

    The last convolution gets the channels of the image, of the classes that both know and of the hemispheres; those of
    other classes keep their random start. A UserError where the folder holds no model, or one of other layers.
    """
    own, theirs = generator.trainable_variables, read_card(folder).tissues
    arrays, _ = read_state(folder / WEIGHTS)
    trained = [arrays[f"generator/{i}"] for i in range(len(arrays))]
    fits = [a.shape for a in trained[:-1]] == [tuple(v.shape) for v in own[:-1]]
    if not fits or trained[-1].shape[:-1] != tuple(own[-1].shape)[:-1]:
        raise UserError(f"{folder}: the layers have other sizes than those of the settings; choose the same `model`.")
    head, known = np.asarray(own[-1]).copy(), ["image", *theirs.channel_names]
    for channel, name in enumerate(["image", *classes.channel_names]):
        if name in known and (name != "rest" or theirs == classes):  # else it is the rest of other classes
            head[..., channel] = trained[-1][..., known.index(name)]
    for variable, array in zip(own, [*trained[:-1], head], strict=True):
        variable.assign(array)


def model_card(settings: Settings, spacing_mm: float) -> ModelCard:
    """Return the card, not calibrated, of a network trained on images of an isotropic voxel size in mm."""
    return ModelCard(
        generator=generator_arguments(settings),
        classes=tuple(settings.model.classes),
        spacing_mm=spacing_mm,
        patch=settings.inference.window,
        thickness_mm=settings.training.thickness_range_mm(settings.simulation.slice_mm),
        planes=tuple(settings.training.planes or [settings.simulation.plane]),
        cohort=settings.cohort,
        step=min(settings.inference.step, settings.inference.window),
        flips=tuple(settings.inference.flips),
        networks=settings.training.networks,
    )


def devices(count: int) -> tf.distribute.Strategy:
    """Return a strategy that shares batches among the first GPUs (else CPUs); a UserError where there are fewer."""
    if count == 1:
        return tf.distribute.get_strategy()
    there = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(there) < count:
        raise UserError(f"training.devices: {count} is more than this machine has ({len(there)}); choose fewer.")
    return tf.distribute.MirroredStrategy([device.name for device in there[:count]])
