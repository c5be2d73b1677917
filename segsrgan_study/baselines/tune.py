"""Choice of the baselines' parameters on training subjects alone.

Each training subject in turn is the image to label, after the same simulated low resolution and interpolation as a test
image, and the other training subjects are its atlases (leave one out). The search takes one parameter after the other,
in the order of `GRIDS`, tries each of its values with the best of the others so far, and keeps the best mean Dice.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_core.classes import Classes
from segsrgan_core.errors import UserError
from segsrgan_core.metrics import dice
from segsrgan_study.baselines.case import Atlas, Case, Method, nearest_in_age
from segsrgan_study.params import RegistrationSettings
from segsrgan_study.progress import track

GRIDS: dict[str, Mapping[str, Sequence[Any]]] = {
    "imapa": {"half_window": (3, 2, 1), "alphas": ((0.0, 0.25), (0.0,), (0.0, 0.5)), "k": (15, 5, 30)},
    "joint_label_fusion": {"r_search": (2, 1), "rad": (1, 2), "beta": (4.0, 2.0)},
    "drawem_style_em": {
        "bias_correction": (True, False),
        "prior_sigma_voxels": (1.0, 2.0),
        "mrf_weight": (1 / 3, 1 / 6),
        "keep": (0.5, 1.0),
    },
    "atropos": {"prior_weight": (0.5, 0.25), "iterations": (1, 3), "mrf_weight": (0.1, 0.2)},
}
GRIDS = {name: {"atlas_images": ("interpolated", "high_resolution"), **grid} for name, grid in GRIDS.items()}


def tune(
    method: Method,
    subjects: Sequence[Atlas],
    cache: Path,
    registration: RegistrationSettings,
    tissues: Sequence[str],
    n_targets: int | None = None,
    n_atlases: int | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Search a method's parameters, from its own on, by the mean Dice of some tissues on training subjects.

    Of the subjects, at least two, `n_targets` (or all), spread over their order, are labelled, each by the `n_atlases`
    (or all) others nearest in age. Returned are the parameters of the best run, the first of equal ones, and one row
    per run: the parameters searched, the mean Dice, and that of each subject.
    """
    if len(subjects) < 2:
        raise UserError(f"tune: the cohort has {len(subjects)} training subjects; two are the least.")
    grid, numbers = GRIDS.get(method.name, {}), Classes(tuple(tissues)).numbers.values()
    targets = np.unique(np.linspace(0, len(subjects) - 1, n_targets or len(subjects)).astype(int))
    best, highest, rows = dict(method.parameters), -1.0, {}
    changes = [{}, *({name: value} for name, values in grid.items() for value in values)]
    for change in track(changes, f"tune {method.name}"):
        parameters = {**best, **change}
        if (key := tuple(parameters.values())) in rows:
            continue
        scores = {}
        for target in (subjects[index] for index in targets):
            others = [subject for subject in subjects if subject.subject != target.subject]
            atlases = tuple(nearest_in_age(others, target.age_weeks, n_atlases))
            case = Case(target.interpolated, atlases, cache, registration, target.age_weeks)
            found, truth = (np.asarray(one.dataobj) for one in (method.tuned(**parameters).run(case), target.labels))
            by_tissue = [dice(truth == number, found == number) for number in numbers]
            scores[f"dice_{target.subject}"] = float(np.mean(by_tissue))
        mean = float(np.mean(list(scores.values())))
        rows[key] = {**{name: parameters[name] for name in grid}, "dice": mean, **scores}
        if mean > highest:
            best, highest = parameters, mean
    return best, pd.DataFrame(rows.values())
