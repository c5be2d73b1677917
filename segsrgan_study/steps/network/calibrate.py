"""Calibration of a trained network on cases with known truth: the threshold of its probability."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from segsrgan_core.metrics import dice
from segsrgan_core.segmenter import ModelCard, Segmenter
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases

THRESHOLDS = tuple(round(float(p), 3) for p in np.arange(0.2, 0.601, 0.025))
NEARLY = 0.002  # of Dice: what a threshold may cost to give the right volume


def calibration_cases(study: Study, wished: int) -> list[PreparedCase]:
    """Return all cases of the split val, filled up to a wished number, if there are so many, from all over train.

    With a single case the volume would be a matter of luck. Those of train are heads that the network has seen.
    """
    validation, train = (prepared_cases(study, split) for split in ("val", "train"))
    more = min(max(0, wished - len(validation)), len(train))
    return [*validation, *(train[round(place)] for place in np.linspace(0, len(train) - 1, more))]


def try_thresholds(segmenter: Segmenter, cases: Sequence[PreparedCase], threshold: float | None = None) -> pd.DataFrame:
    """Segment cases, one at a time in memory, and compare each with its truth at every threshold.

    Args:
        segmenter: of a single class; several have no threshold, and nothing is tried.
        cases: with known labels.
        threshold: the only one to try; None for all `THRESHOLDS`.

    Returns:
        One row per case and threshold: case, threshold, dice, volume_error (relative).
    """
    if len(segmenter.card.classes) > 1:
        return pd.DataFrame()
    tried = [threshold] if threshold else THRESHOLDS
    return pd.DataFrame([row for case in track(cases, "calibrated") for row in _trials(segmenter, case, tried)])


def _trials(segmenter: Segmenter, case: PreparedCase, tried: Sequence[float]) -> list[dict]:
    result = segmenter(load_image(case.low), interpolated=load_image(case.interpolated))
    ((name, number),) = segmenter.card.tissues.numbers.items()
    truth = np.asarray(load_labels(case.labels).dataobj) == number
    probability, rows = np.asarray(result.probabilities[name].dataobj)[..., None], []
    for threshold in tried:
        found = segmenter.card.tissues.decode(probability, threshold) > 0
        off = np.count_nonzero(found) / max(1, np.count_nonzero(truth)) - 1
        rows.append({"case": case.name, "threshold": threshold, "dice": dice(truth, found), "volume_error": off})
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
    """Return the card with the best threshold of `try_thresholds`."""
    return card if trials.empty else replace(card, threshold=best_threshold(trials))
