"""Choice of the baselines' parameters on training subjects alone.

Each training subject in turn is the image to label, after the same simulated low resolution and interpolation as a test
image, and the other training subjects are its atlases (leave one out). The search takes one parameter after the other,
in the order of `GRIDS`, tries each of its values with the best of the others so far, and keeps the best mean Dice.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_core.classes import NUMBERS
from segsrgan_core.errors import UserError
from segsrgan_core.metrics import dice
from segsrgan_study.baselines.case import Atlas, Case, Method, nearest_in_age
from segsrgan_study.params import RegistrationSettings

Grid = Mapping[str, Sequence[Any]]

GRIDS: dict[str, Grid] = {
    "imapa": {
        "atlas_images": ("interpolated", "high_resolution"),
        "half_window": (3, 2, 1),
        "alphas": ((0.0, 0.25), (0.0,), (0.0, 0.5)),
        "k": (15, 5, 30),
    },
    "joint_label_fusion": {
        "atlas_images": ("interpolated", "high_resolution"),
        "r_search": (2, 1),
        "rad": (1, 2),
        "beta": (4.0, 2.0),
    },
    "drawem_style_em": {
        "atlas_images": ("interpolated", "high_resolution"),
        "bias_correction": (True, False),
        "prior_sigma_voxels": (1.0, 2.0),
        "mrf_weight": (1 / 3, 1 / 6),
        "keep": (0.5, 1.0),
    },
    "atropos": {
        "atlas_images": ("interpolated", "high_resolution"),
        "prior_weight": (0.5, 0.25),
        "iterations": (1, 3),
        "mrf_weight": (0.1, 0.2),
    },
}


def tune(
    method: Method,
    subjects: Sequence[Atlas],
    cache: Path,
    registration: RegistrationSettings,
    grid: Grid | None = None,
    tissues: Sequence[str] = ("cortex",),
    n_targets: int | None = None,
    n_atlases: int | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> dict[str, Any]:
    """Search a method's parameters on training subjects.

    Args:
        method: the method; its parameters are the start.
        subjects: at least two training subjects.
        cache: folder of the registrations.
        registration: as in `Case`.
        grid: values to try for each parameter; by default the method's in `GRIDS`.
        tissues: names of the tissues whose mean Dice decides.
        n_targets: number of subjects to label, spread over their order; None for all.
        n_atlases: number of atlases, the nearest in age; None for all.
        progress: called with the method's name and the fraction done.

    Returns:
        `chosen`, all parameters of the best run, `searched`, the names of those in the grid, and `tried`, one entry per
        run with `parameters`, `dice` and `dice_by_subject`.

    Raises:
        UserError: fewer than two subjects, or an unknown tissue.
    """
    if len(subjects) < 2:
        raise UserError(f"tune: the cohort has {len(subjects)} training subjects; two are the least.")
    unknown = [name for name in tissues if name not in NUMBERS]
    if unknown:
        raise UserError(f"tissues: there is no {', '.join(unknown)}; choose among {', '.join(NUMBERS)}.")
    grid = GRIDS.get(method.name, {}) if grid is None else grid
    numbers = [NUMBERS[name] for name in tissues]
    places = np.linspace(0, len(subjects) - 1, n_targets or len(subjects))
    targets = [subjects[place] for place in np.unique(places.astype(int))]
    cases = [_case(target, subjects, cache, registration, n_atlases) for target in targets]
    tried = [_score(method, targets, cases, numbers)]
    changes = [{name: value} for name, values in grid.items() for value in values]
    for done, change in enumerate(changes, start=1):
        candidate = {**_best(tried), **change}
        if candidate not in [run["parameters"] for run in tried]:
            tried.append(_score(method.tuned(**candidate), targets, cases, numbers))
        progress(method.name, done / len(changes))
    return {"searched": list(grid), "chosen": _best(tried), "tried": tried}


def as_table(result: Mapping[str, Any]) -> pd.DataFrame:
    """Return the runs of a search, one row each: the parameters searched, the mean Dice, and that of each subject."""
    return pd.DataFrame(
        [
            {name: _plain(run["parameters"][name]) for name in result["searched"]}
            | {"dice": run["dice"], **{f"dice_{subject}": value for subject, value in run["dice_by_subject"].items()}}
            for run in result["tried"]
        ]
    )


def _plain(value: Any) -> Any:
    return " ".join(f"{part:g}" for part in value) if isinstance(value, tuple) else value


def _best(tried: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parameters of the run with the highest Dice, the first of equal ones."""
    return max(tried, key=lambda run: run["dice"])["parameters"]


def _score(method: Method, targets: Sequence[Atlas], cases: Sequence[Case], numbers: list[int]) -> dict[str, Any]:
    by_subject = {}
    for target, case in zip(targets, cases, strict=True):
        found, truth = np.asarray(method.run(case).dataobj), np.asarray(target.labels.dataobj)
        by_subject[target.subject] = float(np.mean([dice(truth == number, found == number) for number in numbers]))
    mean = float(np.mean(list(by_subject.values())))
    return {"parameters": dict(method.parameters), "dice": mean, "dice_by_subject": by_subject}


def _case(
    target: Atlas, subjects: Sequence[Atlas], cache: Path, registration: RegistrationSettings, n_atlases: int | None
) -> Case:
    others = [subject for subject in subjects if subject.subject != target.subject]
    atlases = nearest_in_age(others, target.age_weeks, n_atlases)
    return Case(target.interpolated, tuple(atlases), cache, registration, target.age_weeks)
