"""Stage 04: volumes under physics that no training has seen."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd

from segsrgan_core.segmenter import Segmenter
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import Settings
from segsrgan_study.phantoms.physics import PHYSICS, scan
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase
from segsrgan_study.steps.scores.measure import true_volumes_ml


def measure_physics(cases: Sequence[PreparedCase], segmenter: Segmenter, settings: Settings) -> pd.DataFrame:
    """Image a patient by each scanner of `phantoms.physics`, with and without the skull, and measure the volumes.

    Patients whose high-resolution image and labels are known take turns, so that each scanner has one.

    Returns:
        One row per image: physics, subject, skull, te_ms, cortex_ml, icv_ml, cortex_true_ml, icv_true_ml; none where
        no patient is known.
    """
    known = [case for case in {case.name: case for case in reversed(cases)}.values() if case.hr and case.labels][::-1]
    columns, rows = ["physics", "subject", "skull", "te_ms", "cortex_ml", "icv_ml", "cortex_true_ml", "icv_true_ml"], []
    jobs = [(*one, skull) for one in zip(PHYSICS.items(), cycle(known), strict=False) for skull in (True, False)]
    for (name, physics), case, skull in track(jobs, "imagined"):
        image, labels = load_image(case.hr), load_labels(case.labels)
        rng = np.random.default_rng([settings.seed, *case.name.encode()])
        who, true = {"physics": name, "subject": case.name, "skull": skull}, true_volumes_ml(labels)
        for te_ms, low in scan(image, labels, physics, settings.simulation, rng, skull).items():
            found = segmenter(low, like=image).volumes_ml
            volumes = {"cortex_ml": found["cortex"], "icv_ml": found["intracranial"]}
            rows.append({**who, "te_ms": te_ms, **volumes, **true})
    return pd.DataFrame(rows, columns=columns)
