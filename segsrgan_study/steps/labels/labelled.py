"""Results of the stage `baselines` on disk, for stages that do not run the methods."""

import json
from pathlib import Path

import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.paths import Study

LABELLED = "labelled"
NO_RUNS: tuple[pd.DataFrame, dict] = pd.DataFrame(columns=["subject", "method", "outcome"], dtype=str), {}


def labels_path(study: Study, case: str, method: str) -> Path:
    """Return the file of a method's label map of a test case."""
    return study.work / "baselines" / f"{case}_desc-{method}_dseg.nii.gz"


def runs_path(study: Study) -> Path:
    """Return the file of the outcomes: one row per case and method."""
    return study.results / "baselines" / "runs.csv"


def methods_path(study: Study) -> Path:
    """Return the file of the methods' titles, versions and parameters."""
    return study.results / "baselines" / "methods.json"


def read_runs(study: Study) -> tuple[pd.DataFrame, dict]:
    """Return the outcomes (subject, method, outcome) and the methods.

    Raises:
        UserError: the stage has not run.
    """
    runs, methods = runs_path(study), methods_path(study)
    if not (runs.is_file() and methods.is_file()):
        raise UserError(f"{runs}: the results of the baselines are missing; run segsrgan baselines.")
    return pd.read_csv(runs, dtype={"subject": str}), json.loads(methods.read_text(encoding="utf-8"))


def reasons(runs: pd.DataFrame) -> dict[str, str]:
    """Return the reason why each method lacks labels; methods with labels of every subject are left out.

    Args:
        runs: columns subject, method, outcome.
    """
    without = runs[runs["outcome"] != LABELLED]
    return {method: _reason(rows, (runs["method"] == method).sum()) for method, rows in without.groupby("method")}


def _reason(rows: pd.DataFrame, n_subjects: int) -> str:
    by_outcome = rows.groupby("outcome")["subject"].apply(list)
    if len(by_outcome) == 1 and len(rows) == n_subjects:
        return by_outcome.index[0]
    return "; ".join(f"{', '.join(subjects)} {outcome}" for outcome, subjects in by_outcome.items())
