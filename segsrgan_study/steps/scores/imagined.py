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
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.scores.measure import true_volumes_ml
from segsrgan_study.steps.scores.segmented import with_network

COLUMNS = ["physics", "subject", "skull", "te_ms", "cortex_ml", "icv_ml", "cortex_true_ml", "icv_true_ml"]


class Imagined(NamedTuple):
    """A patient, and the scanner of `phantoms.physics` that images the head, with the skull or without."""

    stem: str  # a name for messages
    case: PreparedCase
    physics: str
    skull: bool


def measure_physics(study: Study, settings: Settings, cases: Sequence[PreparedCase]) -> pd.DataFrame:
    """Image a patient by each scanner of `phantoms.physics`, with and without the skull, and measure the volumes.

    Patients whose high-resolution image and labels are known take turns, so that each scanner has one. One row per
    image with `COLUMNS` is returned; none where no patient is known.
    """
    known = [case for case in {case.name: case for case in reversed(cases)}.values() if case.hr and case.labels][::-1]
    pairs = zip(PHYSICS, cycle(known), strict=False)
    heads = [Imagined(f"{case.name}, {name}", case, name, skull) for name, case in pairs for skull in (True, False)]
    rows = with_network(partial(_measure, settings=settings), study, settings, heads, "imagined")
    return pd.DataFrame([row for of_head in rows for row in of_head], columns=COLUMNS)


def _measure(_: Study, head: Imagined, segmenter: Segmenter, settings: Settings) -> list[dict[str, Any]]:
    image, labels = load_image(head.case.hr), load_labels(head.case.labels)
    rng = np.random.default_rng([settings.seed, *head.case.name.encode()])
    facts = {"physics": head.physics, "subject": head.case.name, "skull": head.skull, **true_volumes_ml(labels)}
    rows = []
    for te_ms, low in scan(image, labels, PHYSICS[head.physics], settings.simulation, rng, head.skull).items():
        found = segmenter(low, like=image).volumes_ml
        rows.append({**facts, "te_ms": te_ms, "cortex_ml": found["cortex"], "icv_ml": found["intracranial"]})
    return rows
