"""Calibration of a trained network on cases with known truth: the threshold, and the errors of volumes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.metrics import dice
from segsrgan_core.segmenter import ModelCard, Segmenter, volumes_ml
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases

THRESHOLDS = tuple(round(float(p), 3) for p in np.arange(0.2, 0.601, 0.025))
NEARLY = 0.002  # of Dice: what a threshold may cost to give the right volume


def calibration_cases(study: Study, wished: int) -> list[PreparedCase]:
    """Return all cases of the split val, filled up to a wished number, if there are so many, from all over train.

    With a single case the error would be a matter of luck. Those of train are heads that the network has seen, whose
    errors are rather small.
    """
    validation, train = (prepared_cases(study, split) for split in ("val", "train"))
    more = min(max(0, wished - len(validation)), len(train))
    return [*validation, *(train[round(place)] for place in np.linspace(0, len(train) - 1, more))]


def try_thresholds(segmenter: Segmenter, cases: Sequence[PreparedCase], threshold: float | None = None) -> pd.DataFrame:
    """Segment cases, one at a time in memory, and compare each with its truth at every threshold.

    Args:
        segmenter: whose card says what is segmented.
        cases: with known labels (and sides, for a network that knows hemispheres).
        threshold: the only one to try; None for all `THRESHOLDS`. Several classes have none.

    Returns:
        One row per case and threshold: case, threshold; with one class its Dice, `dice`, and the relative error of its
        volume, `volume_error`; by name of each volume (see `Segmentation.volumes_ml`), `error_ml_NAME` and
        `disagreement_ml_NAME`.
    """
    card = segmenter.card
    tried = [card.threshold] if len(card.classes) > 1 else [threshold] if threshold else THRESHOLDS
    return pd.DataFrame([row for case in track(cases, "calibrated") for row in _trials(segmenter, case, tried)])


def _trials(segmenter: Segmenter, case: PreparedCase, tried: Sequence[float]) -> list[dict]:
    result = segmenter(load_image(case.low), interpolated=load_image(case.interpolated))
    classes, labels = segmenter.card.tissues, load_labels(case.labels)
    truth, voxel_ml = np.asarray(labels.dataobj), voxel_volume_ml(labels)
    true_sides = np.asarray(load_labels(case.sides).dataobj) if classes.hemispheres else None
    true_ml = volumes_ml(classes, truth, true_sides, voxel_ml)
    sides = None if result.sides is None else np.asarray(result.sides.dataobj)
    disagreement = {f"disagreement_ml_{name}": ml for name, ml in result.disagreement_ml.items()}
    rows = []
    for threshold in tried:
        row, found_ml = {"case": case.name, "threshold": threshold}, result.volumes_ml
        if len(classes.names) == 1:
            ((name, number),) = classes.numbers.items()
            found = classes.decode(np.asarray(result.probabilities[name].dataobj)[..., None], threshold)
            found_ml, mask = volumes_ml(classes, found, sides, voxel_ml), truth == number
            off = np.count_nonzero(found) / max(1, np.count_nonzero(mask)) - 1
            row |= {"dice": dice(mask, found > 0), "volume_error": off}
        rows.append(row | {f"error_ml_{name}": found_ml[name] - true_ml[name] for name in true_ml} | disagreement)
    return rows


def best_threshold(trials: pd.DataFrame) -> float:
    """Return the threshold of the most accurate mean volume among those of nearly the highest mean Dice.

    Dice hardly changes over a wide range of thresholds, within which volumes change by a tenth: by Dice alone chance
    would decide how large the cortex is. `trials` are those of `try_thresholds`.
    """
    means = trials.groupby("threshold")[["dice", "volume_error"]].mean()
    enough = means[means["dice"] >= means["dice"].max() - NEARLY]
    return float(enough["volume_error"].abs().idxmin())


def calibrated(card: ModelCard, trials: pd.DataFrame) -> ModelCard:
    """Return the card with the best threshold of `try_thresholds` and the standard errors' factors at it."""
    threshold = best_threshold(trials) if "dice" in trials else card.threshold
    at = trials[trials["threshold"] == threshold]
    factors = {}
    for spread in at.filter(like="disagreement_ml_"):
        name = spread.removeprefix("disagreement_ml_")
        if f"error_ml_{name}" in at and at[spread].min() > 0:
            factors[name] = float(f"{np.sqrt(np.mean(np.square(at[f'error_ml_{name}'] / at[spread]))):.6g}")
    return replace(card, threshold=threshold, error_factors=factors, error_cases=len(at))
