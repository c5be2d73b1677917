"""Training and scores of one run of the ablations."""

import numpy as np
import pandas as pd

from segsrgan_core.classes import NUMBERS
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.segmenter import Segmenter
from segsrgan_core.simulation import Simulation
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import read_plan
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.network.fit import fit
from segsrgan_study.steps.scores.measure import measure_one

ECHO_SCORES = ("cortex_dice", "cortex_ml", "cortex_true_ml", "psnr")


def run_ablation(study: Study, run: str, seed: int) -> pd.DataFrame:
    """Train one network on the study's prepared cases, or continue its training, and score it; `seed` as in the plan.

    A row per score is returned and written to `results/ablations/runs/<run>-<seed>.csv`: run, seed, part ("thickness",
    "echoes"), condition (mm, ms), subject, metric, value.
    """
    plan = read_plan(study.ablations)
    settings = plan.settings(run, seed, study.params)
    segmenter = fit(study, settings).segmenter()
    rows = []
    for case in prepared_cases(study, "test")[: plan.test_cases]:
        for mm in plan.thickness_mm:
            scores = _scores(case, settings.simulation.with_thickness(mm), segmenter)
            rows += [("thickness", mm, case.name, *score) for score in scores.items()]
    echoes = prepared_cases(study, "variability")
    patients = list(dict.fromkeys(case.name for case in echoes))[: plan.patients]
    for case in track([case for case in echoes if case.name in patients], "measured"):
        _, found = measure_one(case, segmenter)
        rows += [("echoes", case.te_ms, case.name, name, found[name]) for name in ECHO_SCORES if name in found]
    columns = ["run", "seed", "part", "condition", "subject", "metric", "value"]
    table = pd.DataFrame([(run, seed, *row) for row in rows], columns=columns)
    write_csv(study.results / "ablations" / "runs" / f"{run}-{seed}.csv", table)
    return table


def _scores(case: PreparedCase, simulation: Simulation, segmenter: Segmenter) -> dict[str, float]:
    """Score a test case cut into slices of another thickness."""
    truth, cortex = load_image(case.hr), np.asarray(load_labels(case.labels).dataobj) == NUMBERS["cortex"]
    # The same noise in every run: it depends on the case and the thickness alone.
    rng = np.random.default_rng([round(1000 * simulation.slice_mm), *case.name.encode()])
    result = segmenter(simulation.acquire(truth, rng), like=truth)
    real = np.asarray(truth.dataobj)
    return {
        "psnr": psnr(real, np.asarray(result.image.dataobj)),
        "psnr_spline": psnr(real, np.asarray(result.interpolated.dataobj)),
        "dice": dice(cortex, np.asarray(result.labels.dataobj) == NUMBERS["cortex"]),
    }
