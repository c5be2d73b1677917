"""Stage 04: volumes under physics that no training has seen."""

from collections.abc import Sequence
from functools import partial
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from segsrgan_core.segmenter import Segmenter
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.phantoms.physics import PHYSICS, scan
from segsrgan_study.pool import map_cases, results
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.scores.measure import true_volumes_ml
from segsrgan_study.steps.scores.segmented import trained_segmenter

COLUMNS = ["physics", "subject", "skull", "te_ms", "cortex_ml", "icv_ml", "cortex_true_ml", "icv_true_ml"]


class Imagined(NamedTuple):
    """A patient, and the scanner of `phantoms.physics` that images the head, with the skull or without."""

    case: PreparedCase
    physics: str
    skull: bool


def imagined(cases: Sequence[PreparedCase]) -> list[Imagined]:
    """Give each scanner a patient; those whose high-resolution image and labels are known take turns."""
    known = [case for case in {case.name: case for case in reversed(cases)}.values() if case.hr and case.labels][::-1]
    pairs = zip(PHYSICS, cycle(known), strict=False)
    return [Imagined(case, name, skull) for name, case in pairs for skull in (True, False)]


def measure_physics(study: Study, settings: Settings, cases: Sequence[PreparedCase]) -> pd.DataFrame:
    """Measure the volumes of `imagined` heads with the trained network, several at a time.

    Returns:
        One row per image: physics, subject, skull, te_ms, cortex_ml, icv_ml, cortex_true_ml, icv_true_ml; none where
        no patient is known.
    """
    found = map_cases(partial(_measure, study, settings), imagined(cases), "imagined", settings.workers, name=_name)
    return pd.DataFrame([row for rows in results(found, "images", _name) for row in rows], columns=COLUMNS)


def _name(head: Imagined) -> str:
    return f"{head.case.name}, {head.physics}"


def _measure(study: Study, settings: Settings, head: Imagined) -> list[dict[str, Any]]:
    return measure_imagined(head, trained_segmenter(study, settings), settings)


def measure_imagined(head: Imagined, segmenter: Segmenter, settings: Settings) -> list[dict[str, Any]]:
    """Return the rows of `measure_physics` of one head, one for each echo time."""
    image, labels = load_image(head.case.hr), load_labels(head.case.labels)
    rng = np.random.default_rng([settings.seed, *head.case.name.encode()])
    facts = {"physics": head.physics, "subject": head.case.name, "skull": head.skull, **true_volumes_ml(labels)}
    seen = scan(image, labels, PHYSICS[head.physics], settings.simulation, rng, head.skull)
    rows = []
    for te_ms, low in seen.items():
        found = segmenter(low, like=image).volumes_ml
        rows.append({**facts, "te_ms": te_ms, "cortex_ml": found["cortex"], "icv_ml": found["intracranial"]})
    return rows
