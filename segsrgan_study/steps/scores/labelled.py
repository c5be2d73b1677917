"""The label maps of the methods to compare with, as the stage `baselines` leaves them on disk."""

import json
from pathlib import Path

import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.paths import Study

LABELLED = "labelled"
NO_RUNS: tuple[pd.DataFrame, dict] = pd.DataFrame(columns=["subject", "method", "outcome"], dtype=str), {}


def labels_path(study: Study, case: str, method: str) -> Path:
    """Return where a method's label map of a test case is."""
    return study.work / "baselines" / f"{case}_desc-{method}_dseg.nii.gz"


def runs_path(study: Study) -> Path:
    """Return where the outcomes are: one row a case and method."""
    return study.results / "baselines" / "runs.csv"


def methods_path(study: Study) -> Path:
    """Return where the methods' titles, versions and parameters are."""
    return study.results / "baselines" / "methods.json"


def read_runs(study: Study) -> tuple[pd.DataFrame, dict]:
    """Return the outcomes (subject, method, outcome) and the methods.

    Raises:
        UserError: the stage has not run.
    """
    runs, methods = runs_path(study), methods_path(study)
    if not (runs.is_file() and methods.is_file()):
        raise UserError(f"{runs}: expected what the baselines gave; received nothing there; run segsrgan baselines.")
    return pd.read_csv(runs, dtype={"subject": str}), json.loads(methods.read_text(encoding="utf-8"))


def reasons(runs: pd.DataFrame) -> dict[str, str]:
    """Return why methods lack labels, by method; those with labels of every subject are left out.

    Args:
        runs: subject, method, outcome.
    """
    without = runs[runs["outcome"] != LABELLED]
    return {method: _reason(rows, (runs["method"] == method).sum()) for method, rows in without.groupby("method")}


def _reason(rows: pd.DataFrame, n_subjects: int) -> str:
    by_outcome = rows.groupby("outcome")["subject"].apply(list)
    if len(by_outcome) == 1 and len(rows) == n_subjects:
        return by_outcome.index[0]
    return "; ".join(f"{', '.join(subjects)} {outcome}" for outcome, subjects in by_outcome.items())
