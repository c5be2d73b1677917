"""Adversarial training (WGAN-GP) of a generator, with validation and resuming.

A run is a function of its settings, subjects and seed. Interrupted at any moment, it resumes bit-exactly. On several
devices each takes its share of every batch, so that sums are rounded in another order.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from segsrgan_core import losses
from segsrgan_core.checkpoints import load_state, save_state
from segsrgan_core.classes import Classes
from segsrgan_core.networks.functions import as_function
from segsrgan_core.networks.optimizers import ConvolutionMuon, OnePassAdam
from segsrgan_core.patches import TrainingSubject, patch_dataset
from segsrgan_core.settings import TrainingSettings
from segsrgan_core.simulation import Simulation

Validate = Callable[[Callable], dict[str, float]]
Report = Callable[[int, dict[str, Any]], None]
LOWEST_RATE = 0.02  # share of the learning rate at the end of its fall


class Trainer:
    """The networks, their optimizers, the running average of the generator's weights, and one step of each.

    On a GPU a batch is one tensor. On a processor it is walked through one sample at a time: without batch statistics
    the mean of the samples' gradients is the gradient of the batch, and the memory needed is that of one patch. Several
    devices share the batches if networks and trainer are built in the scope of a `tf.distribute` strategy.

    Args:
        generator: from `networks.generators.build_generator`.
        critic: from `networks.critic.build_critic`; None to train without the adversarial term.
        settings: weights of the objective, optimizer and schedule.
        groups: numbers of channels of the generator's groups of classes, see `classes`.
        objective: of the generator; default `losses.generator_objective(settings, groups)`.
        critic_objective: of the critic; default `losses.critic_objective(settings)`.
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
        self.at_once = settings.batch // settings.devices if tf.config.list_physical_devices("GPU") else 1
        self.generator_optimizer = self._optimizer(generator, settings.optimizer, settings.learning_rate)
        if critic:
            self.critic_optimizer = self._optimizer(critic, "adam", settings.critic_learning_rate)
        # Every device has the same average, so that any device's will do.
        one = tf.VariableAggregation.ONLY_FIRST_REPLICA
        self.average = [tf.Variable(w.value, aggregation=one) for w in generator.trainable_variables]

    def _optimizer(self, model: keras.Model, name: str, rate: float) -> keras.optimizers.Optimizer:
        schedule, beta = self._schedule(rate), self.settings.beta_1
        if name == "muon":
            decay = {"weight_decay": 0.0, "adam_weight_decay": 0.0}
            optimizer = ConvolutionMuon(schedule, momentum=beta, adam_beta_1=beta, **decay)
        else:
            optimizer = OnePassAdam(schedule, beta_1=beta, beta_2=0.999)
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
        """Return every variable that the next step depends on, by name of its group."""
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
        """Take one generator step without the adversarial term, and return the objective's terms, scalars.

        x, the networks' inputs, is float32 (B, P, P, P, C); y, the truth, (B, P, P, P, 1 + n).
        """
        return self._on_devices(lambda: self._generator_step(x, y, adversarial=False))

    @tf.function(jit_compile=False)
    def adversarial(self, x: tf.Tensor, y: tf.Tensor, epsilon: tf.Tensor) -> dict[str, tf.Tensor]:
        """Take n_critic critic steps, each on its own batch, and one generator step, in one graph.

        x and y are n_critic + 1 batches as of `reconstruct`, `epsilon` is float32 (n_critic, B) in [0, 1], see
        `losses.gradient_penalty`. The terms of the generator's objective and `loss_critic` are returned, scalars.
        """
        return self._on_devices(lambda: self._iteration(x, y, epsilon))

    def _iteration(self, x: tf.Tensor, y: tf.Tensor, epsilon: tf.Tensor) -> dict[str, tf.Tensor]:
        loss, n = tf.constant(0.0), self.settings.n_critic
        # Devices cannot exchange gradients from within a loop of the graph.
        for i in tf.range(n) if self.settings.devices == 1 else range(n):
            loss = self._critic_step(x[i], y[i], epsilon[i])
        return {**self._generator_step(x[-1], y[-1], adversarial=True), "loss_critic": loss}

    def _on_devices(self, step: Callable[[], dict[str, tf.Tensor]]) -> dict[str, tf.Tensor]:
        values = self.strategy.run(step)
        return {name: self.strategy.reduce("SUM", value, axis=None) for name, value in values.items()}

    def _generator_step(self, x: tf.Tensor, y: tf.Tensor, adversarial: bool) -> dict[str, tf.Tensor]:
        names: list[str] = []

        def loss(some: Callable) -> tuple[tf.Tensor, list[tf.Tensor]]:
            fake = self.generator(some(x), training=True)
            scores = self.critic(self._with_thickness(fake, some(x)), training=True) if adversarial else None
            total, terms = self.objective(some(y), fake, scores)
            names[:] = terms
            return total, list(terms.values())

        terms, gradients = self._mean_over_batch(loss, self.generator.trainable_variables, x.shape[0])
        self.generator_optimizer.apply(gradients, self.generator.trainable_variables)
        for mean, weight in zip(self.average, self.generator.trainable_variables, strict=True):
            mean.assign_sub((1 - self.settings.average) * (mean - weight))
        return dict(zip(names, tf.unstack(terms, len(names)), strict=True))

    def _critic_step(self, x: tf.Tensor, y: tf.Tensor, epsilon: tf.Tensor) -> tf.Tensor:
        def loss(some: Callable) -> tuple[tf.Tensor, list[tf.Tensor]]:
            fake = self._with_thickness(self.generator(some(x), training=True), some(x))
            real = self._with_thickness(soften(some(y)), some(x))
            value = self.critic_objective(self.critic, real, fake, some(epsilon))
            return value, [value]

        variables = self.critic.trainable_variables
        terms, gradients = self._mean_over_batch(loss, variables, x.shape[0])
        self.critic_optimizer.apply(gradients, variables)
        return terms[0]

    def _with_thickness(self, pair: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return tf.concat([pair, x[..., 1:]], -1) if x.shape[-1] > 1 else pair

    def _mean_over_batch(self, loss: Callable, variables: list, batch: int) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Return this device's part of the mean: the parts of all devices add up to it, and optimizers add them up."""
        n, share = self.at_once, batch // self.settings.devices

        def part(first: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
            def some(values: tf.Tensor) -> tf.Tensor:
                return tf.slice(values, [first, *[0] * (values.ndim - 1)], [n, *values.shape[1:]])

            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([v.value for v in variables])
                value, terms = loss(some)
            return tf.stack(terms), tape.gradient(value, [v.value for v in variables])

        start = share * tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        terms, gradients = part(start)
        if batch == n:
            return terms, gradients
        for first in tf.range(start + n, start + share, n):
            more_terms, more = part(first)
            terms += more_terms
            gradients = [a + b for a, b in zip(gradients, more, strict=True)]
        return terms * n / batch, [g * n / batch for g in gradients]


def soften(real: tf.Tensor) -> tf.Tensor:
    """Blur a binary segmentation by one voxel, so that the critic cannot tell it from a soft one by its edges alone.

    `real` is (B, X, Y, Z, 1 + n): the image, which is kept, and the segmentation.
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
    patches_from: Callable[[int], Iterable[tuple]] | None = None,
) -> list[dict[str, Any]]:
    """Train to the end, from the stored state if there is one.

    At the end `trainer.average` holds the averaged weights of the best epoch (highest `val_score`), and
    `trainer.generator` those of the last step.

    Args:
        trainer: fresh networks and optimizers.
        subjects: subjects to draw patches from.
        simulation: acquisition that the patches imitate.
        classes: classes that the network segments.
        validate: function of the averaged network, float32 (1, P, P, P, C) -> (1, P, P, P, 1 + n), that returns scores,
            `val_score` among them.
        state_path: `.npz` file of the state, written after each epoch.
        seed: seed of the patches and of the gradient penalty.
        report: called after each step with its number and its losses (scalar tensors) or, at the end of an epoch, the
            row of the history.
        patches_from: in place of `patch_dataset`, returns the same stream from the patch of a number on.

    Returns:
        The history, one row per epoch: epoch, step, mean losses, learning rate of the last step, validation scores.
    """
    settings = trainer.settings
    best = [tf.Variable(w) for w in trainer.average]
    variables = {**trainer.state(), "best": best}
    fresh: dict[str, Any] = {"step": 0, "patches": 0, "history": []}
    meta = load_state(state_path, variables) if state_path.exists() else fresh
    total = settings.epochs * settings.steps_per_epoch
    first_adversarial = math.ceil(settings.adversarial_from * total) if trainer.critic else total
    thickness_channel = trainer.generator.input_shape[-1] == 2
    taken, ahead = meta["patches"], 2 * settings.batch * (settings.n_critic + 1)
    arguments = subjects, settings, simulation, classes, thickness_channel, seed, taken
    stream = iter(patches_from(taken) if patches_from else patch_dataset(*arguments).prefetch(ahead))
    history = meta["history"]
    twin = keras.models.clone_model(trainer.generator, recursive=True)
    network = as_function(twin)
    losses_of_epoch: dict[str, list[tf.Tensor]] = defaultdict(list)
    for step in range(meta["step"], total):
        adversarial = step >= first_adversarial
        patches = list(islice(stream, settings.batch * (settings.n_critic + 1 if adversarial else 1)))
        taken += len(patches)
        values = _step(trainer, patches, adversarial, seed=[seed, step])
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
        save_state(state_path, variables, {"step": step + 1, "patches": taken, "history": history})
        report(step + 1, row)
    copy_weights(best, trainer.average)
    return history


def _step(trainer: Trainer, patches: list[tuple], adversarial: bool, seed: list[int]) -> dict[str, tf.Tensor]:
    x, y = (tf.stack(parts) for parts in zip(*patches, strict=True))
    if not adversarial:
        return trainer.reconstruct(x, y)
    n, batch = trainer.settings.n_critic, trainer.settings.batch
    epsilon = tf.random.stateless_uniform((n, batch), seed)
    split = [tf.reshape(t, (n + 1, batch, *t.shape[1:])) for t in (x, y)]
    return trainer.adversarial(*split, epsilon)


def _row(step: int, values: dict[str, list[tf.Tensor]], trainer: Trainer) -> dict[str, Any]:
    means = {name: float(np.mean(value, dtype=np.float64)) for name, value in values.items()}
    rate = float(trainer.generator_optimizer.learning_rate)
    return {"epoch": step // trainer.settings.steps_per_epoch, "step": step, "learning_rate": rate, **means}


def copy_weights(source: list, target: list) -> None:
    """Assign each variable of `source` to the variable of `target` at the same place."""
    for a, b in zip(source, target, strict=True):
        b.assign(a)
