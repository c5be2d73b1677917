"""Volumes corrected to a reference TE by the mixed model, and what that is worth for patients it has not seen.

The model is fitted to logarithms: TE changes a volume by a factor, so that a large brain is corrected by more ml than
a small one.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segsrgan_study.statistics.agreement import within_patient_cv
from segsrgan_study.statistics.intervals import bootstrap
from segsrgan_study.statistics.mixed_model import compare_te, fit_mixed_model, te_formula
from segsrgan_study.statistics.reasons import need, or_reason
from segsrgan_study.statistics.spread import wide

Z95 = stats.norm.ppf(0.975)
LEAST_PATIENTS = 4  # three to fit the model, one to correct


def te_factors(volumes: pd.DataFrame, column: str, reference_te_ms: int) -> pd.DataFrame:
    """Find by which factor each TE moves a volume, as logarithms.

    Args:
        volumes: columns subject, te_ms, `column` (positive) and, where known, age_weeks.
        column: the measure, for example "cortex_ml".
        reference_te_ms: one of the TE.

    Returns:
        Index TE in ms; "log" of the factor against the reference, "se" of it, and "se_volume": of the logarithm of a
        corrected volume as a prediction of what the reference TE would have measured. That contains the spread within a
        patient twice, once for each of the two acquisitions.

    Raises:
        ValueError: the reference TE was not acquired, or the fit fails.
    """
    logs = volumes.assign(log=np.log(volumes[column].astype(float)))
    tes = sorted(logs["te_ms"].astype(int).unique())
    need(reference_te_ms in tes, f"no volume at the reference TE of {reference_te_ms} ms")
    fit = fit_mixed_model(te_formula(logs, "log"), logs)
    others = [te for te in tes if te != reference_te_ms]
    test = compare_te(fit, [(reference_te_ms, te) for te in others])
    columns = {"log": test.effect, "se": test.sd.ravel(), "se_volume": np.sqrt(test.sd.ravel() ** 2 + 2 * fit.scale)}
    return pd.DataFrame(columns, index=others).reindex(tes, fill_value=0.0)


def harmonised(volumes: pd.DataFrame, column: str, reference_te_ms: int) -> pd.DataFrame:
    """Correct every patient's volumes with the factors of all other patients.

    Args:
        volumes: as `te_factors`, of four patients or more.
        column: the measure.
        reference_te_ms: the TE to correct to.

    Returns:
        One row per patient and TE: subject, te_ms, measured, harmonised, se (standard error of `harmonised`, delta
        method; 0 at the reference TE, where nothing is corrected).
    """
    known = volumes.dropna(subset=[column]).sort_values(["subject", "te_ms"], ignore_index=True)
    parts = []
    for subject, own in known.groupby("subject"):
        factors = te_factors(known[known["subject"] != subject], column, reference_te_ms)
        here = factors.loc[own["te_ms"].astype(int)]
        corrected = own[column] / np.exp(here["log"].to_numpy())
        row = own[["subject", "te_ms"]].assign(measured=own[column], harmonised=corrected)
        parts.append(row.assign(se=corrected * here["se_volume"].to_numpy()))
    return pd.concat(parts, ignore_index=True)


@or_reason
def harmonisation(volumes: pd.DataFrame, column: str, reference_te_ms: int, seed: int = 0) -> dict[str, Any]:
    """Find what correcting to the reference TE is worth, on patients held out from the fit one at a time.

    Args:
        volumes: as `te_factors`.
        column: the measure.
        reference_te_ms: the TE to correct to.
        seed: of the bootstrap.

    Returns:
        "n"; "volumes": the table of `harmonised`; "factors" per TE from all patients (divide a volume by it), with
        interval; "within_patient_cv" before and after, "cv_ratio" of the two with a bootstrap interval over patients;
        "cover": how many of the corrected volumes have a 95 % interval that contains what the reference TE measured in
        that patient. Or {"reason"}.
    """
    frame = volumes.dropna(subset=[column])
    before = wide(frame, column)
    enough = len(before.dropna()) >= LEAST_PATIENTS and before.shape[1] > 1
    varies = frame[column].min() > 0 and frame[column].nunique() > 1
    need(enough and varies, f"needs {LEAST_PATIENTS} patients with every TE, and positive volumes that vary")
    rows = harmonised(frame, column, reference_te_ms)
    factors = te_factors(frame, column, reference_te_ms).drop(reference_te_ms)
    after = wide(rows, "harmonised")
    return {
        "n": len(before.dropna()),
        "volumes": rows,
        "factors": {str(te): _factor(row) for te, row in factors.iterrows()},
        "within_patient_cv": {"before": within_patient_cv(before), "after": within_patient_cv(after)},
        **_ratio(before.dropna(), after.dropna(), seed),
        "cover": _cover(rows, after[reference_te_ms], reference_te_ms),
    }


def _factor(row: pd.Series) -> dict[str, Any]:
    ends = [np.exp(row["log"] - Z95 * row["se"]), np.exp(row["log"] + Z95 * row["se"])]
    return {"value": np.exp(row["log"]), "ci95": ends, "relative_se_of_a_volume": row["se_volume"]}


def _ratio(before: pd.DataFrame, after: pd.DataFrame, seed: int) -> dict[str, Any]:
    def of(before: np.ndarray, after: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.sqrt(after.mean(axis) / before.mean(axis))

    squares = [((t.std(axis=1, ddof=1) / t.mean(axis=1)) ** 2).to_numpy() for t in (before, after)]
    if not squares[0].any():
        return {"cv_ratio": None, "cv_ratio_ci95": None}
    return {"cv_ratio": float(of(*squares)), "cv_ratio_ci95": bootstrap(squares, of, seed)[0]}


def _cover(rows: pd.DataFrame, reference: pd.Series, reference_te_ms: int) -> dict[str, Any]:
    others = rows[rows["te_ms"] != reference_te_ms]
    error = (others["harmonised"] - others["subject"].map(reference)).dropna()
    inside = error.abs() <= Z95 * others.loc[error.index, "se"]
    return {"n": len(inside), "share": inside.mean() if len(inside) else None}
