"""Training of the study's networks on the prepared cases: states from which it goes on, and its curve as it runs."""

import inspect
import json
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from segsrgan_core.atomic import write_json
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.patches import TrainingSubject, prepare_subject
from segsrgan_core.segmenter import WEIGHTS, ModelCard, Segmenter, save_model
from segsrgan_core.training import copy_weights, train
from segsrgan_study.engines import as_network, choose_engine, choose_precision
from segsrgan_study.environment import environment
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, code_digest, digest
from segsrgan_study.progress import Progress
from segsrgan_study.scores import ssim
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.network.build import build_trainer, model_card, model_classes, start_from
from segsrgan_study.steps.network.calibrate import calibrate, calibration_cases
from segsrgan_study.steps.network.drawing import drawing_processes

SHOWN = ("val_psnr", "val_psnr_spline", "val_score")  # beside the progress
ROWS = 200  # about so many lines a curve


class Trained(NamedTuple):
    """What a training gave."""

    models: list[keras.Model]  # generators that vote, with the weights of their best epochs
    card: ModelCard
    history: pd.DataFrame  # one row per epoch
    precision: str  # in which they were trained
    wished: str  # precision in which they are applied, "auto" for the engine's fastest

    def segmenter(self) -> Segmenter:
        """Return the networks as a function of an image, on the engine that will apply them."""
        network, *others = (as_network(model, self.card, self.wished) for model in self.models)
        return Segmenter(self.card, network, tuple(others))

    def save(self, folder: Path) -> None:
        """Write `model/`, `history.csv` and `environment.json`."""
        save_model(folder / "model", self.models[0], self.card, self.models[1:])
        write_csv(folder / "history.csv", self.history)
        engine = choose_engine()
        applied = {"engine": engine, "engine_precision": choose_precision(engine, self.wished)}
        write_json(folder / "environment.json", environment(self.precision) | applied)


def fit(study: Study, settings: Settings, start: Path | None = None) -> Trained:
    """Train, or go on training, with the objectives of `segsrgan_core.losses`, and calibrate; see `train_networks`."""
    trained = train_networks(study, settings, training_subjects(study, settings), start=start)
    cases = calibration_cases(study, settings.inference.calibration_cases)
    return trained._replace(card=calibrate(trained.segmenter(), cases, settings))


def training_subjects(study: Study, settings: Settings) -> list[TrainingSubject]:
    """Read the prepared cases of the split train, from which patches are drawn; of each cohort about as many."""
    classes, simulation, cohorts = model_classes(settings), settings.simulation, defaultdict(list)
    if settings.training.thickness_mm is not None:
        simulation = simulation.with_thickness(float(np.mean(settings.training.thickness_mm)))
    for case in prepared_cases(study, "train"):
        image = load_image(case.hr)
        labels, sides = (
            np.asarray(load_labels(path).dataobj).astype(np.uint8) if path else None
            for path in (case.labels, case.sides if classes.hemispheres else None)
        )
        voxel_mm, pixels = round(float(spacing_mm(image)[0]), 4), np.asarray(image.dataobj)
        patch, seed = settings.training.patch, settings.seed
        subject = prepare_subject(case.name, pixels, labels, classes, voxel_mm, simulation, patch, seed, sides)
        cohorts[case.cohort].append(subject)
    most = max(map(len, cohorts.values()))
    return [subject for group in cohorts.values() for subject in group * round(most / len(group))]


def train_networks(
    study: Study,
    settings: Settings,
    subjects: list[TrainingSubject],
    objective: Callable | None = None,
    critic_objective: Callable | None = None,
    start: Path | None = None,
) -> Trained:
    """Train the networks, or go on where an interrupted training stopped, with the same result bit by bit.

    What is needed to go on lies in `.work/training`, with the curve of the running training for `explore_training`. It
    stays until another training is finished, so that a stage that is killed after its training need not train again.

    Objectives take the place of those of `losses`; `start` is the folder of a trained model whose weights the
    networks begin with, see `start_from`, in place of random ones. The card that is returned is not calibrated.
    """
    states = state_files(study, settings, objective, critic_objective, start=start)
    card = model_card(settings, subjects[0].spacing_mm)
    validation = _validation(prepared_cases(study, "val"), card, settings.inference.validation_step)
    steps = settings.training.epochs * settings.training.steps_per_epoch
    curve = LiveCurve(states[0].with_suffix(".csv"), len(states) * steps)
    precision = choose_policy(settings.model.precision)
    model = settings.model.model_copy(update={"precision": precision})
    models, histories = [], []
    with Progress("training", len(states) * steps, unit="step") as progress:
        for number, state in enumerate(states):

            def report(step: int, row: dict, before: int = number * steps) -> None:
                curve.add(before + step, row)
                shown = [f"{name} {row[name]:.3f}" for name in SHOWN if name in row]
                progress.reach(before + step, ", ".join(shown))

            own = settings.model_copy(update={"seed": settings.seed + number, "model": model})
            trainer = build_trainer(own, objective, critic_objective)
            if start:
                start_from(trainer.generator, model_classes(own), start)
                copy_weights(trainer.generator.trainable_variables, trainer.average)
            drawn = own.training, own.simulation, model_classes(own), own.model.thickness_channel
            gpu = tf.config.list_physical_devices("GPU")
            with drawing_processes(subjects, *drawn, seed=own.seed) if gpu else nullcontext() as patches_from:
                rest = model_classes(own), validation, state, own.seed, report, patches_from
                rows = train(trainer, subjects, own.simulation, *rest)
            copy_weights(trainer.average, trainer.generator.trainable_variables)
            models.append(trainer.generator)
            histories.append(pd.DataFrame(rows).assign(**{"network": number + 1} if len(states) > 1 else {}))
    _forget_all_but(states)
    return Trained(models, card, pd.concat(histories, ignore_index=True), precision, settings.model.precision)


def state_files(
    study: Study, settings: Settings, *objectives: Callable | None, start: Path | None = None
) -> list[Path]:
    """Return the file of each network's state; its name stands for settings, code, cases, objectives and first weights.

    Of an objective in place of those of `segsrgan_core.losses` the source counts, not what it calls.
    """
    cases = sorted(path for path in (study.work / "prepared").rglob("*") if path.is_file())
    sources = [inspect.getsource(objective) for objective in objectives if objective is not None]
    first = [start / WEIGHTS] if start else []
    code = code_digest("segsrgan_core", "segsrgan_study/steps/network")
    name = digest([settings.model_dump_json(), code, *sources, *cases, *first])[:16]
    ends = ["", *(f"-{n}" for n in range(1, settings.training.networks))]
    return [study.scratch / "training" / f"{name}{end}.npz" for end in ends]


def _forget_all_but(states: list[Path]) -> None:
    """Remove the states of the training that was finished before this one, whose own stay until another one is."""
    finished = states[0].with_name("finished.json")
    before = json.loads(finished.read_text(encoding="utf-8")) if finished.is_file() else []
    write_json(finished, [path.name for path in states])
    for name in set(before) - {path.name for path in states}:
        states[0].with_name(name).unlink(missing_ok=True)


class LiveCurve:
    """A CSV that grows while a training runs: step, total (of the training), losses, validation scores of epochs.

    Where the table is there, its steps before the first one that is added are kept: a training that goes on continues
    its curve, and one that begins anew starts another.
    """

    def __init__(self, path: Path, total: int):
        self._path, self._total, self._rows = path, total, None

    def add(self, step: int, values: dict[str, Any]) -> None:
        """Add a step where it is due; its values are plain numbers or scalar tensors."""
        if self._rows is None:
            earlier = pd.read_csv(self._path) if self._path.is_file() else pd.DataFrame(columns=["step"])
            self._rows = earlier[earlier["step"] < step].to_dict("records")
        if step % max(1, self._total // ROWS) == 0 or "epoch" in values:
            numbers = {name: float(value) for name, value in values.items()}
            self._rows.append({**numbers, "step": step, "total": self._total})
            write_csv(self._path, pd.DataFrame(self._rows))


def _validation(cases: list[PreparedCase], card: ModelCard, step: int) -> Callable[[Callable], dict[str, float]]:
    """Return a function of a network: its mean scores over the cases; no window is mirrored, for speed."""
    images_of = [(*map(load_image, (c.hr, c.low, c.interpolated)), load_labels(c.labels)) for c in cases]

    def scores_of(network: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
        segmenter, rows = Segmenter(replace(card, step=min(step, card.patch), flips=()), network), []
        for truth, low, interpolated, labels in images_of:
            result = segmenter(low, interpolated=interpolated)
            images = (truth, result.image, interpolated, labels, result.labels)
            real, image, spline, true, found = (np.asarray(one.dataobj) for one in images)
            dices = {f"val_dice_{name}": dice(true == n, found == n) for name, n in card.tissues.numbers.items()}
            scores = {"val_psnr": psnr(real, image), "val_psnr_spline": psnr(real, spline)}
            scores["val_ssim"] = ssim(real, image)
            rows.append(scores | dices | {"val_score": float(np.mean(list(dices.values())))})
        return pd.DataFrame(rows).mean().to_dict()

    return scores_of
