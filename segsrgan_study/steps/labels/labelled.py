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


def files(study: Study) -> tuple[Path, Path]:
    """Return the files of the outcomes, one row per case and method, and of the methods' titles and parameters."""
    folder = study.results / "baselines"
    return folder / "runs.csv", folder / "methods.json"


def read_runs(study: Study) -> tuple[pd.DataFrame, dict]:
    """Return the outcomes (subject, method, outcome) and the methods; a UserError where the stage has not run."""
    runs, methods = files(study)
    if not (runs.is_file() and methods.is_file()):
        raise UserError(f"{runs}: the results of the baselines are missing; run segsrgan baselines.")
    return pd.read_csv(runs, dtype={"subject": str}), json.loads(methods.read_text(encoding="utf-8"))


def reasons(runs: pd.DataFrame) -> dict[str, str]:
    """Return why methods lack labels, by method, from the table of outcomes; none where every subject has them."""
    found, counts = {}, runs["method"].value_counts()
    for method, rows in runs[runs["outcome"] != LABELLED].groupby("method"):
        subjects = rows.groupby("outcome")["subject"].agg(", ".join)
        everywhere = len(subjects) == 1 and len(rows) == counts[method]
        told = subjects.index if everywhere else [f"{names} {outcome}" for outcome, names in subjects.items()]
        found[method] = "; ".join(told)
    return found
