"""Searches of parameters by hand: `segsrgan tune METHOD` and `segsrgan tune bet`.

Methods are searched on training subjects alone. BET does not compete with the network; its threshold is chosen where
volume over truth is near 1 at every echo time. Each search writes its table to `results/tuning/`; the choice goes into
`params.yaml`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging.geometry import resample_to, voxel_volume_ml
from segsrgan_core.imaging.hemispheres import intracranial
from segsrgan_core.metrics import dice
from segsrgan_study.baselines.methods import chosen_methods
from segsrgan_study.baselines.tune import tune
from segsrgan_study.bet.extraction import bet_mask
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.labels.label import read_atlas

THRESHOLDS = (0.65, 0.7, 0.75, 0.8, 0.85)


def search(study: Study, settings: Settings, name: str, n_targets: int | None = None) -> tuple[Path, dict[str, Any]]:
    """Search a method's parameters on training subjects, of which `n_targets`, or all, are labelled by the others.

    The path of the search's table and the parameters chosen are returned; a UserError where there is no such method.
    """
    options = settings.baselines
    (method,) = chosen_methods([name], {name: options.parameters.get(name, {})})
    subjects = [read_atlas(case, "background" in settings.model.classes) for case in prepared_cases(study, "train")]
    cache, tissues = study.scratch / "registrations", settings.model.classes
    chosen, table = tune(method, subjects, cache, options.registration, tissues, n_targets, options.atlases)
    return write_csv(study.results / "tuning" / f"{settings.cohort}_{name}.csv", table), chosen


def search_bet(study: Study, settings: Settings, n_images: int | None = None) -> Path:
    """Score BET at several thresholds against the labels of training subjects and of patients at each echo time.

    Of each split `n_images` subjects are taken, or all. The table that is returned has split, te_ms, threshold, n, mean
    Dice, mean and range of volume over truth.
    """
    cases = []
    for split in ("train", "variability"):
        acquired = [case for case in prepared_cases(study, split) if case.labels and not case.resynthesised]
        names = list(dict.fromkeys(case.name for case in acquired))[:n_images]
        cases += [case for case in acquired if case.name in names]
    runs = [(case, threshold) for case in cases for threshold in THRESHOLDS]
    program = settings.variability.bet_program
    rows = [_score_bet(case, threshold, program) for case, threshold in track(runs, "BET")]
    groups = pd.DataFrame(rows).groupby(["split", "te_ms", "threshold"], dropna=False)
    ratios = {"volume_ratio": "mean", "lowest_ratio": "min", "highest_ratio": "max"}
    columns = {name: ("volume_ratio", how) for name, how in ratios.items()}
    table = groups.agg(n=("dice", "size"), dice=("dice", "mean"), **columns)
    return write_csv(study.results / "tuning" / f"{settings.cohort}_bet.csv", table.reset_index())


def _score_bet(case: PreparedCase, threshold: float, program: str) -> dict[str, Any]:
    """Compare BET's mask with what the labels call intracranial: Dice on the labels' grid, each volume on its own."""
    truth, mask = load_labels(case.labels), bet_mask(load_image(case.low), threshold, program)
    inside, found = intracranial(np.asarray(truth.dataobj)), np.asarray(mask.dataobj, np.float32)
    there = resample_to(Nifti1Image(found, mask.affine), truth.shape, truth.affine, order=1)
    volumes_ml = [voxel_volume_ml(mask) * np.count_nonzero(found), voxel_volume_ml(truth) * np.count_nonzero(inside)]
    return {
        "split": case.split,
        "te_ms": case.te_ms if case.split == "variability" else np.nan,
        "threshold": threshold,
        "dice": dice(inside, np.asarray(there.dataobj) > 0.5),
        "volume_ratio": volumes_ml[0] / volumes_ml[1],
    }
