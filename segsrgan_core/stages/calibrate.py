"""The last step of stage 02: how large the errors of volumes are, on cases whose true volumes are known."""

from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy as np

from segsrgan_core.imaging.files import load_image, load_labels
from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.networks.functions import as_function
from segsrgan_core.params import Settings
from segsrgan_core.paths import Study
from segsrgan_core.progress import track
from segsrgan_core.segmenter import ModelCard, Segmentation, Segmenter, volumes_ml
from segsrgan_core.stages.cases import PreparedCase, prepared_cases
from segsrgan_core.uncertainty import error_factor


def calibrated(study: Study, settings: Settings, card: ModelCard, models: list[Any]) -> ModelCard:
    """Learn the standard errors' factors and return the card with them.

    The cases are all of the split val, filled up from train to `inference.calibration_cases`: with a single case the
    error would be a matter of luck. Those of train are errors of heads that the network has seen, and so rather small.
    """
    network, *others = (as_function(model) for model in models)
    step, flips = min(settings.inference.step, card.patch), tuple(settings.inference.flips)
    segmenter = Segmenter(card, network, step, tuple(others), flips)
    validation = list(prepared_cases(study, "val"))
    more = max(0, settings.inference.calibration_cases - len(validation))
    cases = list(chain(validation, islice(prepared_cases(study, "train"), more)))
    results = [(segmenter(load_image(c.low), like=load_image(c.image)), c) for c in track(cases, "calibrated")]
    return replace(card, error_factors=_factors(card, results), error_cases=len(cases))


def _factors(card: ModelCard, results: list[tuple[Segmentation, PreparedCase]]) -> dict[str, float]:
    errors: dict[str, list[float]] = {}
    spreads: dict[str, list[float]] = {}
    for result, case in results:
        for name, true in true_volumes_ml(card, case).items():
            errors.setdefault(name, []).append(result.volumes_ml[name] - true)
            spreads.setdefault(name, []).append(result.disagreement_ml[name])
    factors = {name: error_factor(errors[name], spreads[name]) for name in errors if min(spreads[name]) > 0}
    return {name: float(f"{factor:.6g}") for name, factor in factors.items()}


def true_volumes_ml(card: ModelCard, case: PreparedCase) -> dict[str, float]:
    """Return the true volume of everything whose volume the network gives."""
    labels = load_labels(case.labels)
    sides = np.asarray(load_labels(case.sides).dataobj) if card.tissues.hemispheres else None
    return volumes_ml(card.tissues, np.asarray(labels.dataobj), sides, voxel_volume_ml(labels))
