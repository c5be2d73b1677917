"""Stage 02: train the networks on the prepared cases and keep the best."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.classes import Classes
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.networks.critic import build_critic
from segsrgan_core.networks.functions import as_function, choose_policy
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.patches import TrainingSubject, prepare_subject
from segsrgan_core.segmenter import ModelCard, Segmenter, save_model
from segsrgan_core.training import Trainer, copy_weights, devices, train
from segsrgan_study.environment import environment
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, code_digest, digest
from segsrgan_study.progress import Progress
from segsrgan_study.scores import ssim
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.network.calibrate import calibrated
from segsrgan_study.steps.network.live import LiveCurve


def model_classes(settings: Settings) -> Classes:
    """Return what the settings ask the network to segment."""
    return Classes(tuple(settings.model.classes), settings.model.hemispheres)


def generator_arguments(settings: Settings) -> dict:
    """Return the arguments of `build_generator` that the settings stand for, without the precision."""
    model = settings.model
    return {
        "name": model.generator,
        "k": model.k,
        "kernel": model.kernel,
        "padding": model.padding,
        "n_classes": model_classes(settings).tissue_channels,
        "hemispheres": model.hemispheres,
        "thickness_channel": model.thickness_channel,
    }


def build_trainer(settings: Settings) -> Trainer:
    """Build the networks and their optimisers, on as many devices as the settings name."""
    with devices(settings.training.devices).scope():
        return _build_trainer(settings)


def _build_trainer(settings: Settings) -> Trainer:
    model = settings.model
    policy = choose_policy(model.precision)
    generator = build_generator(**generator_arguments(settings), policy=policy, seed=settings.seed)
    critic = None
    if settings.training.adversarial_from < 1:
        channels = generator.output_shape[-1] + model.thickness_channel
        critic = build_critic(channels, model.critic_width, policy, seed=settings.seed + 1000)
    return Trainer(generator, critic, settings.training, model_classes(settings).groups)


def model_card(settings: Settings, spacing_mm: float) -> ModelCard:
    """Return what a person must know to use the network that these settings train."""
    return ModelCard(
        generator=generator_arguments(settings),
        classes=tuple(settings.model.classes),
        spacing_mm=spacing_mm,
        patch=settings.training.patch,
        thickness_mm=settings.training.thickness_mm or (settings.simulation.slice_mm,) * 2,
        plane=settings.simulation.plane,
        cohort=settings.cohort,
        step=min(settings.inference.step, settings.training.patch),
        flips=tuple(settings.inference.flips),
        threshold=settings.inference.threshold or 0.5,
        networks=settings.training.networks,
    )


def state_path(study: Study, settings: Settings) -> Path:
    """Return where a training with these settings, prepared cases and code keeps what it needs to go on."""
    cases = sorted(path for path in (study.work / "prepared").rglob("*") if path.is_file())
    key = digest([settings.model_dump_json(), code_digest("segsrgan_core", "segsrgan_study/steps/network"), *cases])
    return study.scratch / "training" / f"{key[:16]}.npz"


def fit(study: Study, settings: Settings, folder: Path, state: Path) -> pd.DataFrame:
    """Train, or go on training, and write the model and its history.

    Args:
        study: where the prepared cases are.
        settings: of the networks and the training.
        folder: receives `model/` and `history.csv`.
        state: `.npz` from which an interrupted training goes on. Further networks have their own beside it. They stay
            until another training is finished, so that a stage that is killed after it need not train again. So does
            the curve of the running training (`.csv`, for `explore_training`).

    Returns:
        The history, one row an epoch (and network, where there are several).
    """
    precision = choose_policy(settings.model.precision)  # measured once, and written down
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"precision": precision})})
    classes, n = model_classes(settings), settings.training.networks
    subjects = [training_subject(case, settings, classes) for case in prepared_cases(study, "train")]
    card = model_card(settings, subjects[0].spacing_mm)
    validation = Validation(prepared_cases(study, "val"), card, settings.inference.validation_step)
    total = settings.training.epochs * settings.training.steps_per_epoch
    curve = LiveCurve(state.with_suffix(".csv"), n * total)
    states = [state.with_stem(f"{state.stem}-{number}") if number else state for number in range(n)]
    models, histories = [], []
    with Progress("training", n * total, unit="step") as progress:
        for number in range(n):

            def report(step: int, row: dict, before: int = number * total) -> None:
                curve.add(before + step, row)
                progress.reach(before + step, _note(row))

            own = settings.model_copy(update={"seed": settings.seed + number})
            trainer = build_trainer(own)
            rows = train(trainer, subjects, settings.simulation, classes, validation, states[number], own.seed, report)
            copy_weights(trainer.average, trainer.generator.trainable_variables)
            models.append(trainer.generator)
            histories.append(pd.DataFrame(rows) if n == 1 else pd.DataFrame(rows).assign(network=number + 1))
    history = pd.concat(histories, ignore_index=True)
    network, *others = (as_function(model) for model in models)
    card = calibrated(study, settings, Segmenter(card, network, tuple(others)))
    save_model(folder / "model", models[0], card, models[1:])
    write_csv(folder / "history.csv", history)
    write_json(folder / "environment.json", environment(precision))
    _forget_all_but(states)
    return history


def _forget_all_but(states: list[Path]) -> None:
    """Remove the states of the training that was finished before this one."""
    finished = states[0].with_name("finished.json")
    before = json.loads(finished.read_text(encoding="utf-8")) if finished.is_file() else []
    write_json(finished, [path.name for path in states])
    for name in set(before) - {path.name for path in states}:
        states[0].with_name(name).unlink(missing_ok=True)


def _note(row: dict) -> str:
    shown = {name: row[name] for name in ("val_psnr", "val_psnr_spline", "val_score") if name in row}
    return ", ".join(f"{name} {value:.3f}" for name, value in shown.items())


def training_subject(case: PreparedCase, settings: Settings, classes: Classes) -> TrainingSubject:
    """Read a case for training."""
    image, simulation = load_image(case.hr), settings.simulation
    thickness = settings.training.thickness_mm
    typical = simulation if thickness is None else simulation.with_thickness(float(np.mean(thickness)))
    return prepare_subject(
        case.name,
        np.asarray(image.dataobj),
        np.asarray(load_labels(case.labels).dataobj).astype(np.uint8),
        classes,
        round(float(spacing_mm(image)[0]), 4),
        typical,
        settings.training.patch,
        settings.seed,
        np.asarray(load_labels(case.sides).dataobj).astype(np.uint8) if classes.hemispheres else None,
    )


class Validation:
    """Scores of a network on whole subjects: PSNR, SSIM and Dice each subject by itself, then their mean.

    Args:
        cases: of the split val.
        card: of the network that is trained.
        step: distance between windows in voxels.
    """

    def __init__(self, cases: list[PreparedCase], card: ModelCard, step: int):
        self.card, self.step = card, min(step, card.patch)
        self.cases = [(*map(load_image, (c.hr, c.low, c.interpolated)), load_labels(c.labels)) for c in cases]

    def __call__(self, network: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
        """Return the means over the subjects; `val_score` is what the best epoch is chosen by: the mean Dice."""
        segmenter = Segmenter(self.card, network, step=self.step, flips=())
        return pd.DataFrame([self._scores(segmenter, *case) for case in self.cases]).mean().to_dict()

    def _scores(
        self, segmenter: Segmenter, truth: Nifti1Image, low: Nifti1Image, interpolated: Nifti1Image, labels: Nifti1Image
    ) -> dict[str, float]:
        result = segmenter(low, interpolated=interpolated)
        real, image, spline = (np.asarray(one.dataobj) for one in (truth, result.image, interpolated))
        scores = {"val_psnr": psnr(real, image), "val_psnr_spline": psnr(real, spline), "val_ssim": ssim(real, image)}
        true, found = np.asarray(labels.dataobj), np.asarray(result.labels.dataobj)
        numbers = Classes(self.card.classes).numbers
        dices = {f"val_dice_{name}": dice(true == number, found == number) for name, number in numbers.items()}
        return scores | dices | {"val_score": float(np.mean(list(dices.values())))}
