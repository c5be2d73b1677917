"""The last step of stage 02, on cases whose truth is known: the threshold, and how large the errors of volumes are."""

from dataclasses import replace

import numpy as np

from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.metrics import dice
from segsrgan_core.segmenter import ModelCard, Segmentation, Segmenter, volumes_ml
from segsrgan_core.uncertainty import error_factor
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases

Results = list[tuple[Segmentation, PreparedCase]]
THRESHOLDS = tuple(round(float(p), 3) for p in np.arange(0.2, 0.601, 0.025))
NEARLY = 0.002  # of Dice: what a threshold may cost to give the right volume


def calibrated(study: Study, settings: Settings, segmenter: Segmenter) -> ModelCard:
    """Choose a network's threshold, unless it is set, learn its standard errors' factors, return its card with them.

    The cases are all of the split val, filled up from train to `inference.calibration_cases`: with a single case the
    error would be a matter of luck. Those of train are errors of heads that the network has seen, and so rather small.
    """
    cases = _cases(study, settings.inference.calibration_cases)
    results = [
        (segmenter(load_image(c.low), interpolated=load_image(c.interpolated)), c) for c in track(cases, "calibrated")
    ]
    card = segmenter.card
    if settings.inference.threshold is None and len(card.classes) == 1:
        card = replace(card, threshold=best_threshold(card, results))
    return replace(card, error_factors=_factors(card, results), error_cases=len(cases))


def _cases(study: Study, wished: int) -> list[PreparedCase]:
    """All of val, and as many of train as are wanted, from its first to its last."""
    validation, train = (prepared_cases(study, split) for split in ("val", "train"))
    more = min(max(0, wished - len(validation)), len(train))
    return [*validation, *(train[round(place)] for place in np.linspace(0, len(train) - 1, more))]


def best_threshold(card: ModelCard, results: Results) -> float:
    """Return the threshold of the most accurate mean volume among those of nearly the highest mean Dice.

    Dice hardly changes over a wide range of thresholds, within which volumes change by a tenth: by Dice alone chance
    would decide how large the cortex is.
    """
    name, number = next(iter(card.tissues.numbers.items()))
    truths = [np.asarray(load_labels(case.labels).dataobj) == number for _, case in results]
    found = [np.asarray(result.probabilities[name].dataobj) for result, _ in results]

    def judge(threshold: float) -> tuple[float, float]:
        """Return the mean Dice, and how far the mean volume is off."""
        pairs = [(truth, p > threshold) for truth, p in zip(truths, found, strict=True)]
        errors = [mask.sum() / max(1, truth.sum()) - 1 for truth, mask in pairs]
        return float(np.mean([dice(*pair) for pair in pairs])), abs(float(np.mean(errors)))

    judged = {threshold: judge(threshold) for threshold in THRESHOLDS}
    enough = max(score for score, _ in judged.values()) - NEARLY
    return min((t for t, (score, _) in judged.items() if score >= enough), key=lambda t: judged[t][1])


def _factors(card: ModelCard, results: Results) -> dict[str, float]:
    errors: dict[str, list[float]] = {}
    spreads: dict[str, list[float]] = {}
    for result, case in results:
        found = _volumes_ml(card, result)
        for name, true in true_volumes_ml(card, case).items():
            errors.setdefault(name, []).append(found[name] - true)
            spreads.setdefault(name, []).append(result.disagreement_ml[name])
    factors = {name: error_factor(errors[name], spreads[name]) for name in errors if min(spreads[name]) > 0}
    return {name: float(f"{factor:.6g}") for name, factor in factors.items()}


def _volumes_ml(card: ModelCard, result: Segmentation) -> dict[str, float]:
    """Return the volumes at the card's threshold."""
    channels = [np.asarray(image.dataobj) for image in result.probabilities.values()]
    if len(channels) > 1:
        return result.volumes_ml
    labels = card.tissues.decode(channels[0][..., None], card.threshold)
    sides = None if result.sides is None else np.asarray(result.sides.dataobj)
    return volumes_ml(card.tissues, labels, sides, voxel_volume_ml(result.labels))


def true_volumes_ml(card: ModelCard, case: PreparedCase) -> dict[str, float]:
    """Return the true volume of everything whose volume the network gives."""
    labels = load_labels(case.labels)
    sides = np.asarray(load_labels(case.sides).dataobj) if card.tissues.hemispheres else None
    return volumes_ml(card.tissues, np.asarray(labels.dataobj), sides, voxel_volume_ml(labels))
