"""One run of the ablations: a short training with one thing changed, scored as all others are."""

from typing import Any

import numpy as np
import pandas as pd

from segsrgan_core.classes import NUMBERS
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.networks.functions import choose_policy
from segsrgan_core.segmenter import Segmenter, load_segmenter
from segsrgan_study.ablations import Ablations, read_ablations, settings_of
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.network.fit import fit
from segsrgan_study.steps.scores.echo_scores import measure_one


def run_ablation(study: Study, run: str, seed: int) -> pd.DataFrame:
    """Train one network on the study's prepared cases and score it.

    An interrupted training goes on where it was.

    Returns:
        One row a score, also written to `results/ablations/runs/<run>-<seed>.csv`: run, seed, part ("thickness",
        "echoes"), condition (mm, ms), subject, metric, value.
    """
    plan = read_ablations(study.ablations)
    settings = settings_of(plan, run, seed, study.params)
    folder = study.scratch / "ablations" / f"{run}-{seed}"
    fit(study, settings).save(folder)
    policy = choose_policy(settings.model.precision)
    segmenter = load_segmenter(folder / "model", policy)
    rows = [row for case in _first_cases(study, plan) for row in _over_thickness(case, plan, settings, segmenter)]
    rows += [row for case in track(_first_echoes(study, plan), "measured") for row in _echo(case, segmenter)]
    table = pd.DataFrame(rows)
    table.insert(0, "run", run)
    table.insert(1, "seed", seed)
    write_csv(study.results / "ablations" / "runs" / f"{run}-{seed}.csv", table)
    return table


def _first_cases(study: Study, plan: Ablations) -> list[PreparedCase]:
    return prepared_cases(study, "test")[: plan.test_cases]


def _first_echoes(study: Study, plan: Ablations) -> list[PreparedCase]:
    cases = prepared_cases(study, "variability")
    chosen = list(dict.fromkeys(case.name for case in cases))[: plan.patients]
    return [case for case in cases if case.name in chosen]


def _over_thickness(case: PreparedCase, plan: Ablations, settings: Settings, segmenter: Segmenter) -> list[dict]:
    truth, labels = load_image(case.hr), np.asarray(load_labels(case.labels).dataobj)
    real, cortex = np.asarray(truth.dataobj), labels == NUMBERS["cortex"]
    rows = []
    for thickness in plan.thickness_mm:
        simulation = settings.simulation.with_thickness(thickness)
        # The same noise in every run: it depends on the case and the thickness alone.
        rng = np.random.default_rng([round(1000 * thickness), *case.name.encode()])
        result = segmenter(simulation.acquire(truth, rng), like=truth)
        scores = {
            "psnr": psnr(real, np.asarray(result.image.dataobj)),
            "psnr_spline": psnr(real, np.asarray(result.interpolated.dataobj)),
            "dice": dice(cortex, np.asarray(result.labels.dataobj) == NUMBERS["cortex"]),
        }
        rows += _rows("thickness", thickness, case.name, scores)
    return rows


def _echo(case: PreparedCase, segmenter: Segmenter) -> list[dict]:
    _, row = measure_one(case, segmenter)
    shown = {"cortex_ml", "cortex_true_ml", "cortex_dice", "psnr"} & row.keys()
    return _rows("echoes", case.te_ms, case.name, {name: row[name] for name in sorted(shown)})


def _rows(part: str, condition: float, subject: str, scores: dict[str, Any]) -> list[dict]:
    where = {"part": part, "condition": condition, "subject": subject}
    return [{**where, "metric": metric, "value": value} for metric, value in scores.items()]
