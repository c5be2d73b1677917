"""The choice of parameters, by hand and not by `dvc repro`: `segsrgan tune METHOD` and `segsrgan tune bet`.

Methods are searched on training subjects alone. BET is no rival of the network's; its threshold is chosen where volume
over truth is near 1 at every echo time. Each search leaves its table in `results/tuning/`; the choice goes into
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
from segsrgan_study.baselines.tune import as_table, tune
from segsrgan_study.bet.extraction import bet_mask
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.progress import Progress, track
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.labels.label import read_atlas

THRESHOLDS = (0.5, 0.6, 0.65, 0.7)


def search(study: Study, settings: Settings, name: str, n_targets: int | None = None) -> tuple[Path, dict[str, Any]]:
    """Search a method's parameters on the training subjects, from those of the settings on.

    Returns:
        The table of the search, and the parameters chosen.

    Raises:
        UserError: no such method.
    """
    options = settings.baselines
    (method,) = chosen_methods([name], {name: options.parameters.get(name, {})})
    subjects = [read_atlas(case, "background" in settings.model.classes) for case in prepared_cases(study, "train")]
    with Progress(f"tune {name}", 100, unit="%") as progress:
        result = tune(
            method,
            subjects,
            study.scratch / "registrations",
            tissues=settings.model.classes,
            n_targets=n_targets,
            n_atlases=options.atlases,
            registration=options.registration,
            progress=lambda _, part: progress.reach(round(100 * part)),
        )
    return write_csv(_path(study, settings, name), as_table(result)), result["chosen"]


def search_bet(study: Study, settings: Settings, n_images: int | None = None) -> Path:
    """Score BET at several thresholds against the labels.

    The images are the training subjects' thick slices, and the patients' at each echo time where the cohort has them.

    Returns:
        The table: split, te_ms, threshold, n, mean Dice, mean and range of volume over truth.
    """
    images = _images(study, n_images)
    runs = [(image, threshold) for image in images for threshold in THRESHOLDS]
    rows = [_score_bet(image, threshold) for image, threshold in track(runs, "BET")]
    groups = pd.DataFrame(rows).groupby(["split", "te_ms", "threshold"], dropna=False)
    table = groups.agg(
        n=("dice", "size"),
        dice=("dice", "mean"),
        volume_ratio=("volume_ratio", "mean"),
        lowest_ratio=("volume_ratio", "min"),
        highest_ratio=("volume_ratio", "max"),
    )
    return write_csv(_path(study, settings, "bet"), table.reset_index())


def _path(study: Study, settings: Settings, name: str) -> Path:
    return study.results / "tuning" / f"{settings.cohort}_{name}.csv"


def _images(study: Study, n_images: int | None) -> list[PreparedCase]:
    """Return the labelled cases of `n_images` subjects of each split."""
    patients = [case for case in prepared_cases(study, "variability") if case.labels and not case.resynthesised]
    chosen = sorted({case.name for case in patients})[:n_images]
    return prepared_cases(study, "train")[:n_images] + [case for case in patients if case.name in chosen]


def _score_bet(case: PreparedCase, threshold: float) -> dict[str, Any]:
    """Compare BET's mask with what the labels call intracranial: Dice on the labels' grid, each volume on its own."""
    truth, mask = load_labels(case.labels), bet_mask(load_image(case.low), threshold)
    inside = intracranial(np.asarray(truth.dataobj))
    volumes_ml = [
        voxel_volume_ml(one) * np.count_nonzero(array) for one, array in ((mask, mask.dataobj), (truth, inside))
    ]
    there = resample_to(
        Nifti1Image(np.asarray(mask.dataobj, np.float32), mask.affine), truth.shape, truth.affine, order=1
    )
    overlap = dice(inside, np.asarray(there.dataobj) > 0.5)
    ratio = volumes_ml[0] / volumes_ml[1]
    te_ms = float("nan") if case.split == "train" else case.te_ms
    return {"split": case.split, "te_ms": te_ms, "threshold": threshold, "dice": overlap, "volume_ratio": ratio}
