"""Adversarial training (WGAN-GP) of a generator, and the curve of its validation.

A run is a function of its settings, its subjects and its seed; interrupted at any moment, it goes on bit-exactly.
On several devices each takes its share of every batch: sums are then made in another order, and nothing else differs.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from segsrgan_core import losses
from segsrgan_core.checkpoints import load_state, save_state
from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError
from segsrgan_core.networks.functions import as_function
from segsrgan_core.networks.optimizers import ConvolutionMuon, OnePassAdam
from segsrgan_core.patches import TrainingSubject, patch_dataset
from segsrgan_core.settings import TrainingSettings
from segsrgan_core.simulation import Simulation

Validate = Callable[[Callable], dict[str, float]]
LOWEST_RATE = 0.02  # what is left of the learning rate at the end
Report = Callable[[int, dict[str, Any]], None]


class Trainer:
    """The networks, their optimisers, the running average of the generator's weights, and one step of each.

    Args:
        generator: of `networks.generators`.
        critic: of `networks.critic`; None trains without the adversarial term.
        settings: objective and schedule.
        groups: sizes of the groups of the generator's classes; see `classes`.
        objective: of the generator, as `losses.generator_objective` makes it, which is the default.
        critic_objective: of the critic, as `losses.critic_objective` makes it, which is the default.

    Batches are walked through one sample at a time: the networks have no batch statistics, so that the mean of the
    gradients is the batch's gradient, and the memory is that of one patch.

    Several devices share the batches where networks and trainer are made in the scope of a strategy, see `devices`.
    """

    def __init__(
        self,
        generator: keras.Model,
        critic: keras.Model | None,
        settings: TrainingSettings,
        groups: tuple[int, ...] = (1,),
        objective: Callable | None = None,
        critic_objective: Callable | None = None,
    ):
        self.generator, self.critic, self.settings = generator, critic, settings
        self.objective = objective or losses.generator_objective(settings, groups)
        self.critic_objective = critic_objective or losses.critic_objective(settings)
        self.strategy = tf.distribute.get_strategy()
        build = self._muon if settings.optimizer == "muon" else self._adam
        self.generator_optimizer = build(generator, settings.learning_rate)
        self.critic_optimizer = self._adam(critic, settings.critic_learning_rate) if critic else None
        # Every device has the same, so that any device's will do.
        one = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.average = [tf.Variable(w.value, aggregation=one) for w in generator.trainable_variables]

    def _adam(self, model: keras.Model, rate: float) -> keras.optimizers.Optimizer:
        optimizer = OnePassAdam(self._schedule(rate), beta_1=self.settings.beta_1, beta_2=0.999)
        optimizer.build(model.trainable_variables)
        return optimizer

    def _muon(self, model: keras.Model, rate: float) -> keras.optimizers.Optimizer:
        optimizer = ConvolutionMuon(
            self._schedule(rate),
            momentum=self.settings.beta_1,
            adam_beta_1=self.settings.beta_1,
            weight_decay=0.0,
            adam_weight_decay=0.0,
        )
        optimizer.build(model.trainable_variables)
        return optimizer

    def _schedule(self, rate: float) -> float | keras.optimizers.schedules.LearningRateSchedule:
        """Return a rate that falls along half a cosine over the last share of the steps (Hu et al. 2024, section 4)."""
        total = self.settings.epochs * self.settings.steps_per_epoch
        falling = self.settings.decay * total
        if not falling:
            return rate
        return keras.optimizers.schedules.CosineDecay(
            rate, falling, alpha=LOWEST_RATE, warmup_target=rate, warmup_steps=total - falling
        )

    def state(self) -> dict[str, list]:
        """Return every variable that the next step depends on."""
        variables = {
            "generator": self.generator.trainable_variables,
            "generator_optimizer": self.generator_optimizer.variables,
            "average": self.average,
        }
        if self.critic:
            variables["critic"] = self.critic.trainable_variables
            variables["critic_optimizer"] = self.critic_optimizer.variables
        return variables

    @tf.function(jit_compile=False)
    def reconstruct(self, x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        """One generator step on L_rec alone; x (B, P, P, P, C), y (B, P, P, P, 1 + n)."""
        return self._on_devices(lambda: self._generator_step(x, y, adversarial=False))

    @tf.function(jit_compile=False)
    def adversarial(self, x: tf.Tensor, y: tf.Tensor, epsilon: tf.Tensor) -> dict[str, tf.Tensor]:
        """One whole iteration in one graph: n_critic critic steps, each on its own batch, and one generator step.

        Args:
            x: (n_critic + 1, B, P, P, P, C).
            y: (n_critic + 1, B, P, P, P, 1 + n).
            epsilon: (n_critic, B), in [0, 1].
        """
        return self._on_devices(lambda: self._iteration(x, y, epsilon))

    def _iteration(self, x: tf.Tensor, y: tf.Tensor, epsilon: tf.Tensor) -> dict[str, tf.Tensor]:
        loss, n = tf.constant(0.0), self.settings.n_critic
        # Devices cannot exchange gradients from within a loop of the graph.
        for i in tf.range(n) if self.settings.devices == 1 else range(n):
            loss = self._critic_step(x[i], y[i], epsilon[i])
        return {**self._generator_step(x[-1], y[-1], adversarial=True), "loss_critic": loss}

    def _on_devices(self, step: Callable[[], dict[str, tf.Tensor]]) -> dict[str, tf.Tensor]:
        """Take a step on every device; the losses are of the whole batch."""
        values = self.strategy.run(step)
        return {name: self.strategy.reduce("SUM", value, axis=None) for name, value in values.items()}

    def _generator_step(self, x: tf.Tensor, y: tf.Tensor, adversarial: bool) -> dict[str, tf.Tensor]:
        names: list[str] = []

        def loss(i: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            one = x[i][None]
            fake = self.generator(one, training=True)
            scores = self.critic(self._with_thickness(fake, one), training=True) if adversarial else None
            total, terms = self.objective(y[i][None], fake, scores)
            names[:] = terms
            return total, list(terms.values())

        terms, gradients = self._mean_over_batch(loss, self.generator.trainable_variables, x.shape[0])
        self.generator_optimizer.apply(gradients, self.generator.trainable_variables)
        for mean, weight in zip(self.average, self.generator.trainable_variables, strict=True):
            mean.assign_sub((1 - self.settings.average) * (mean - weight))
        return dict(zip(names, tf.unstack(terms, len(names)), strict=True))

    def _critic_step(self, x: tf.Tensor, y: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        def loss(i: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            one = x[i][None]
            fake = self._with_thickness(self.generator(one, training=True), one)
            real = self._with_thickness(soften(y[i][None]), one)
            value = self.critic_objective(self.critic, real, fake, epsilon[i][None])
            return value, [value]

        variables = self.critic.trainable_variables
        terms, gradients = self._mean_over_batch(loss, variables, x.shape[0])
        self.critic_optimizer.apply(gradients, variables)
        return terms[0]

    def _with_thickness(self, pair: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return tf.concat([pair, x[..., 1:]], -1) if x.shape[-1] > 1 else pair

    def _mean_over_batch(self, loss, variables: list, batch: int) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Return this device's part of the mean: the parts of all devices add up to it, and optimisers add them up."""

        def one(i: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([v.value for v in variables])
                value, parts = loss(i)
            return tf.stack(parts), tape.gradient(value, [v.value for v in variables])

        share = batch // self.settings.devices
        first = share * tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        parts, gradients = one(first)
        if batch == 1:
            return parts, gradients
        for i in tf.range(first + 1, first + share):
            more_parts, more = one(i)
            parts += more_parts
            gradients = [a + b for a, b in zip(gradients, more, strict=True)]
        return parts / batch, [g / batch for g in gradients]


def devices(count: int) -> tf.distribute.Strategy:
    """Return a strategy that shares batches among the first GPUs of this machine (among CPUs where it has none).

    Args:
        count: of devices; with one, nothing is shared.

    Raises:
        UserError: the machine has fewer.
    """
    if count == 1:
        return tf.distribute.get_strategy()
    there = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(there) < count:
        raise UserError(
            f"training.devices: expected at most {len(there)}, which this machine has; received {count}; correct it."
        )
    return tf.distribute.MirroredStrategy([device.name for device in there[:count]])


def soften(real: tf.Tensor) -> tf.Tensor:
    """Blur a binary segmentation by one voxel, so that the critic cannot tell it from a soft one by its edges alone.

    Args:
        real: (B, X, Y, Z, 1 + n), the image and the segmentation; the image is left as it is.
    """
    segmentation = tf.nn.avg_pool3d(real[..., 1:], 3, 1, "SAME")
    return tf.concat([real[..., :1], segmentation], -1)


def train(
    trainer: Trainer,
    subjects: list[TrainingSubject],
    simulation: Simulation,
    classes: Classes,
    validate: Validate,
    state_path: Path,
    seed: int,
    report: Report = lambda step, row: None,
) -> list[dict[str, Any]]:
    """Train to the end, from the stored state where there is one.

    Args:
        trainer: fresh networks and optimisers.
        subjects: to draw patches from.
        simulation: the acquisition that patches imitate.
        classes: that the network segments.
        validate: gets the averaged network, float32 (1, P, P, P, C) -> (1, P, P, P, 1 + n), and returns scores.
        state_path: `.npz` of the state, written after each epoch.
        seed: of the patches and of the gradient penalty.
        report: called after each step with its number and its losses (scalar tensors), at an epoch's end with the
            history's row.

    Returns:
        The history, one row an epoch: epoch, step, losses (the mean over those steps of the epoch in which they are
        measured), learning rate of the last step, validation scores. The trainer's `average` then holds the weights of
        the best epoch (highest `val_score`), its generator those of the last step.
    """
    settings = trainer.settings
    best = [tf.Variable(w) for w in trainer.average]
    variables = {**trainer.state(), "best": best}
    meta: dict[str, Any] = {"step": 0, "patches": 0, "history": []}
    if state_path.exists():
        meta = load_state(state_path, variables)
    total = settings.epochs * settings.steps_per_epoch
    first_adversarial = math.ceil(settings.adversarial_from * total) if trainer.critic else total
    thickness_channel = trainer.generator.input_shape[-1] == 2
    patches = partial(patch_dataset, subjects, settings, simulation, classes, thickness_channel, seed)
    stream = _Stream(patches, settings, meta["patches"])
    history = meta["history"]
    twin = keras.models.clone_model(trainer.generator)
    network = as_function(twin)
    losses_of_epoch: dict[str, list[tf.Tensor]] = defaultdict(list)
    for step in range(meta["step"], total):
        values = _step(trainer, stream, adversarial=step >= first_adversarial, seed=[seed, step])
        for name, value in values.items():
            losses_of_epoch[name].append(value)
        if (step + 1) % settings.steps_per_epoch:
            report(step + 1, values)
            continue
        row = _row(step + 1, losses_of_epoch, trainer)
        losses_of_epoch.clear()
        if row["epoch"] % settings.validate_every == 0 or step + 1 == total:
            copy_weights(trainer.average, twin.trainable_variables)
            row |= validate(network)
            if row["val_score"] >= max((r.get("val_score", -math.inf) for r in history), default=-math.inf):
                copy_weights(trainer.average, best)
        history.append(row)
        save_state(state_path, variables, {"step": step + 1, "patches": stream.position, "history": history})
        report(step + 1, row)
    copy_weights(best, trainer.average)
    return history


class _Stream:
    """Batches of the patch stream, and how many patches were taken from it."""

    def __init__(self, patches: Callable[[int], tf.data.Dataset], settings: TrainingSettings, start: int):
        self._patches, self.position = patches, start
        self._sizes = {False: settings.batch, True: settings.batch * (settings.n_critic + 1)}
        self._batches: Iterator | None = None
        self._adversarial: bool | None = None

    def next(self, adversarial: bool) -> tuple[tf.Tensor, tf.Tensor]:
        size = self._sizes[adversarial]
        if self._adversarial is not adversarial:
            self._adversarial = adversarial
            self._batches = iter(self._patches(self.position).batch(size, drop_remainder=True).prefetch(2))
        self.position += size
        return next(self._batches)


def _step(trainer: Trainer, stream: _Stream, adversarial: bool, seed: list[int]) -> dict[str, tf.Tensor]:
    x, y = stream.next(adversarial)
    if not adversarial:
        return trainer.reconstruct(x, y)
    n, batch = trainer.settings.n_critic, trainer.settings.batch
    epsilon = tf.random.stateless_uniform((n, batch), seed)
    split = [tf.reshape(t, (n + 1, batch, *t.shape[1:])) for t in (x, y)]
    return trainer.adversarial(*split, epsilon)


def _row(step: int, values: dict[str, list[tf.Tensor]], trainer: Trainer) -> dict[str, Any]:
    row = {"epoch": step // trainer.settings.steps_per_epoch, "step": step}
    row["learning_rate"] = float(trainer.generator_optimizer.learning_rate)
    return row | {name: float(np.mean(value, dtype=np.float64)) for name, value in values.items()}


def copy_weights(source: list, target: list) -> None:
    """Assign each variable of `source` to its counterpart in `target`."""
    for a, b in zip(source, target, strict=True):
        b.assign(a)
