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

from segsrgan_core.classes import DRAWEM9
from segsrgan_core.errors import UserError
from segsrgan_core.metrics import dice
from segsrgan_study.baselines.case import Atlas, Case, Method, Progress, nearest_in_age, silent
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
    grid: Grid | None = None,
    tissues: Sequence[str] = ("cortex",),
    n_targets: int | None = None,
    n_atlases: int | None = None,
    registration: RegistrationSettings | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Search a method's parameters on training subjects.

    Args:
        method: the method; its parameters are the start.
        subjects: training subjects, each with `interpolated`.
        cache: the folder of registrations.
        grid: values to try for each parameter; by default the method's in `GRIDS`.
        tissues: names of the tissues whose mean Dice decides.
        n_targets: label only so many subjects, spread over their order; None: all.
        n_atlases: use only so many atlases, the nearest in age; None: all.
        registration: see `Case`.
        progress: called with the method's name and the fraction done.

    Returns:
        `searched` (names of parameters), `targets`, `n_atlases`, `chosen` (all parameters), `dice` (its mean), and
        `tried`: one entry a run with `parameters`, `dice` and `dice_by_subject`.

    Raises:
        UserError: fewer than two subjects, one without `interpolated`, or an unknown tissue.
    """
    grid = GRIDS.get(method.name, {}) if grid is None else grid
    numbers = _numbers(tissues)
    _check(subjects)
    places = np.linspace(0, len(subjects) - 1, n_targets or len(subjects))
    targets = [subjects[place] for place in np.unique(places.astype(int))]
    cases = {target.subject: _case(target, subjects, cache, n_atlases, registration) for target in targets}
    tried: list[dict[str, Any]] = []
    total = 1 + sum(len(values) for values in grid.values())

    def score(parameters: Mapping[str, Any]) -> float:
        known = next((run for run in tried if run["parameters"] == parameters), None)
        if known is None:
            known = _score(method.tuned(**parameters), targets, cases, numbers)
            tried.append(known)
        return known["dice"]

    best = dict(method.parameters)
    done = 1
    best_dice = score(best)
    for name, values in grid.items():
        for value in values:
            candidate = {**best, name: value}
            found = score(candidate)
            if found > best_dice:
                best, best_dice = candidate, found
            done += 1
            progress(method.name, done / total)
    return {
        "searched": list(grid),
        "targets": [target.subject for target in targets],
        "n_atlases": len(next(iter(cases.values())).atlases),
        "chosen": best,
        "dice": best_dice,
        "tried": tried,
    }


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


def _score(method: Method, targets: Sequence[Atlas], cases: Mapping[str, Case], numbers: list[int]) -> dict[str, Any]:
    by_subject = {}
    for target in targets:
        found = np.asarray(method.run(cases[target.subject]).dataobj)
        truth = np.asarray(target.labels.dataobj)
        by_subject[target.subject] = float(np.mean([dice(truth == number, found == number) for number in numbers]))
    mean = float(np.mean(list(by_subject.values())))
    return {"parameters": dict(method.parameters), "dice": mean, "dice_by_subject": by_subject}


def _case(
    target: Atlas,
    subjects: Sequence[Atlas],
    cache: Path,
    n_atlases: int | None,
    registration: RegistrationSettings | None,
) -> Case:
    others = tuple(subject for subject in subjects if subject.subject != target.subject)
    atlases = nearest_in_age(others, target.age_weeks, n_atlases)
    return Case(target.interpolated, tuple(atlases), cache, age_weeks=target.age_weeks, registration=registration)


def _check(subjects: Sequence[Atlas]) -> None:
    if len({subject.subject for subject in subjects}) < 2:
        raise UserError(f"tune: expected at least two training subjects; received {len(subjects)}.")
    bare = [subject.subject for subject in subjects if subject.interpolated is None]
    if bare:
        raise UserError(f"tune: expected an interpolated image for each subject; received none for {', '.join(bare)}.")


def _numbers(tissues: Sequence[str]) -> list[int]:
    by_name = {name: number for number, name in DRAWEM9.items()}
    unknown = [name for name in tissues if name not in by_name]
    if unknown or not tissues:
        raise UserError(f"tissues: expected some of {', '.join(by_name)}; received {', '.join(tissues) or 'none'}.")
    return [by_name[name] for name in tissues]
