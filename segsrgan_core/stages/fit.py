"""Stage 02: train the networks on the prepared cases and keep the best."""

from pathlib import Path

import numpy as np
import pandas as pd

from segsrgan_core.classes import Classes
from segsrgan_core.imaging.degrade import interpolate
from segsrgan_core.imaging.files import load_image, load_labels, write_csv
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.inference import predict
from segsrgan_core.metrics import dice, psnr, ssim
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.params import Settings
from segsrgan_core.patches import TrainingSubject, prepare_subject
from segsrgan_core.paths import Study
from segsrgan_core.progress import Progress
from segsrgan_core.segmenter import ModelCard, save_model
from segsrgan_core.stages.cases import PreparedCase, prepared_cases
from segsrgan_core.training import Trainer, train


def generator_arguments(settings: Settings) -> dict:
    """Return the arguments of `build_generator` that the settings stand for, without the precision."""
    model = settings.model
    return {
        "name": model.generator,
        "k": model.k,
        "kernel": model.kernel,
        "padding": model.padding,
        "n_classes": Classes(tuple(model.classes)).channels,
        "thickness_channel": model.thickness_channel,
    }


def build_trainer(settings: Settings) -> Trainer:
    """Build the networks and their optimisers."""
    model = settings.model
    policy = choose_policy(model.precision)
    generator = build_generator(**generator_arguments(settings), policy=policy, seed=settings.seed)
    critic = None
    if settings.training.adversarial_from < 1:
        channels = generator.output_shape[-1] + model.thickness_channel
        critic = build_critic(channels, model.critic_width, policy, seed=settings.seed + 1000)
    return Trainer(generator, critic, settings.training)


def fit(study: Study, settings: Settings, folder: Path, state: Path) -> pd.DataFrame:
    """Train, or go on training, and write the model and its history.

    Args:
        study: where the prepared cases are.
        settings: of the networks and the training.
        folder: receives `model/` and `history.csv`.
        state: `.npz` from which an interrupted training goes on; removed at the end.

    Returns:
        The history, one row an epoch.
    """
    classes = Classes(tuple(settings.model.classes))
    trainer = build_trainer(settings)
    subjects = [training_subject(case, settings, classes) for case in prepared_cases(study, "train")]
    validation = Validation(list(prepared_cases(study, "val")), settings, classes)
    channels = (1 + settings.model.thickness_channel, classes.channels)
    progress = Progress("training", settings.training.epochs * settings.training.steps_per_epoch, unit="step")

    def report(step: int, row: dict) -> None:
        progress.reach(step, _note(row))

    history = pd.DataFrame(train(trainer, subjects, channels, validation, state, settings.seed, report))
    progress.close()
    for variable, mean in zip(trainer.generator.trainable_variables, trainer.average, strict=True):
        variable.assign(mean)
    card = ModelCard(
        generator=generator_arguments(settings),
        classes=classes.names,
        spacing_mm=subjects[0].spacing_mm,
        patch=settings.training.patch,
        thickness_mm=settings.training.thickness_mm,
        plane=settings.simulation.plane,
        cohort=settings.cohort,
        threshold=settings.inference.threshold,
    )
    save_model(folder / "model", trainer.generator, card)
    write_csv(folder / "history.csv", history)
    state.unlink(missing_ok=True)
    return history


def _note(row: dict) -> str:
    shown = {name: row[name] for name in ("val_psnr", "val_psnr_spline", "val_score") if name in row}
    return ", ".join(f"{name} {value:.3f}" for name, value in shown.items())


def training_subject(case: PreparedCase, settings: Settings, classes: Classes) -> TrainingSubject:
    """Read a case for training."""
    image = load_image(case.image)
    return prepare_subject(
        case.name,
        np.asarray(image.dataobj),
        classes.encode(np.asarray(load_labels(case.labels).dataobj)),
        round(float(spacing_mm(image)[0]), 4),
        float(np.mean(settings.training.thickness_mm)),
        settings.training.patch,
        settings.seed,
    )


class Validation:
    """Scores of a network on whole subjects: PSNR, SSIM and Dice each subject by itself, then their mean.

    Args:
        cases: of the split val.
        settings: of the training and the windows.
        classes: that are segmented.
    """

    def __init__(self, cases: list[PreparedCase], settings: Settings, classes: Classes):
        self.settings, self.classes = settings, classes
        self.cases = [self._load(case) for case in cases]

    def _load(self, case: PreparedCase) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        truth, low = load_image(case.image), load_image(case.low)
        interpolated = np.asarray(interpolate(low, like=truth).dataobj)
        labels = self.classes.encode(np.asarray(load_labels(case.labels).dataobj))
        return np.asarray(truth.dataobj), labels, interpolated, self.settings.simulation.slice_mm

    def __call__(self, network) -> dict[str, float]:
        """Return the means over the subjects; `val_score` is what the best epoch is chosen by: the mean Dice."""
        return pd.DataFrame([self._scores(network, *case) for case in self.cases]).mean().to_dict()

    def _scores(self, network, truth, labels, interpolated, thickness) -> dict[str, float]:
        scale = intensity_scale(interpolated)
        inputs = interpolated[..., None] / np.float32(scale)
        if self.settings.model.thickness_channel:
            inputs = np.concatenate([inputs, np.full_like(inputs, thickness)], -1)
        patch = self.settings.training.patch
        step = min(self.settings.inference.validation_step, patch)
        output = predict(network, inputs, patch, step, 1 + self.classes.channels)
        image = output[..., 0] * np.float32(scale)
        found = self.classes.encode(self.classes.decode(output[..., 1:], self.settings.inference.threshold))
        scores = {
            "val_psnr": psnr(truth, image),
            "val_psnr_spline": psnr(truth, interpolated),
            "val_ssim": ssim(truth, image),
        }
        dices = {f"val_dice_{n}": dice(labels == i, found == i) for i, n in enumerate(self.classes.names, 1)}
        return scores | dices | {"val_score": float(np.mean(list(dices.values())))}
