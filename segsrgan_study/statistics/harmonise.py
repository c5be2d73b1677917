"""Volumes corrected to a reference TE by the mixed model, and what that is worth for patients it has not seen.

The model is fitted to logarithms: TE changes a volume by a factor, so that a large brain is corrected by more ml than
a small one.
"""

from typing import Any

import numpy as np
import pandas as pd

from segsrgan_study.statistics.agreement import within_patient_cv
from segsrgan_study.statistics.mixed_model import FAULTS, Z95, te_effects
from segsrgan_study.statistics.spread import wide
from segsrgan_study.statistics.summary import bootstrap_interval

LEAST_PATIENTS = 4  # three to fit the model, one to correct


def te_factors(volumes: pd.DataFrame, column: str, reference_te_ms: int) -> pd.DataFrame:
    """By which factor each TE moves a volume, as logarithms.

    Args:
        volumes: columns subject, te_ms, `column` (positive) and, where known, age_weeks.
        column: the measure, e.g. "cortex_ml".
        reference_te_ms: one of the TE.

    Returns:
        Index TE in ms; "log" of the factor against the reference, "se" of it, and "se_volume": of the logarithm of a
        corrected volume as a prediction of what the reference TE would have measured. That holds the spread within a
        patient twice, once for each of the two acquisitions.

    Raises:
        ValueError: the fit fails.
    """
    logs = volumes.assign(log=np.log(volumes[column].astype(float)))
    tes, effects, covariance, sd_within = te_effects(logs, "log")
    contrasts = np.eye(len(tes)) - np.eye(len(tes))[tes.index(reference_te_ms)]
    variance = np.einsum("ij,jk,ik->i", contrasts, covariance, contrasts)
    columns = {"log": contrasts @ effects, "se": np.sqrt(variance), "se_volume": np.sqrt(variance + 2 * sd_within**2)}
    factors = pd.DataFrame(columns, index=tes)
    factors.loc[reference_te_ms] = 0.0
    return factors


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
        here = factors.loc[own["te_ms"].astype(int)].to_numpy()
        corrected = own[column] / np.exp(here[:, 0])
        row = own[["subject", "te_ms"]].assign(measured=own[column], harmonised=corrected)
        parts.append(row.assign(se=corrected * here[:, 2]))
    return pd.concat(parts, ignore_index=True)


def harmonisation(volumes: pd.DataFrame, column: str, reference_te_ms: int, seed: int = 0) -> dict[str, Any]:
    """What correcting to the reference TE is worth, on patients held out from the fit one at a time.

    Returns:
        "volumes": the rows of `harmonised`; "factors" per TE from all patients (divide a volume by it), with interval;
        "within_patient_cv" before and after, "cv_ratio" of the two with a bootstrap interval over patients; "cover":
        how many of the corrected volumes have a 95 % interval that holds what the reference TE measured in that
        patient. Or {"reason"}.
    """
    frame = volumes.dropna(subset=[column])
    table = wide(frame, column)
    n = len(table.dropna())
    if n < LEAST_PATIENTS or table.shape[1] < 2 or frame[column].min() <= 0 or frame[column].nunique() < 2:
        return {"n": n, "reason": f"needs {LEAST_PATIENTS} patients with every TE, and positive volumes that vary"}
    try:
        rows = harmonised(frame, column, reference_te_ms)
        factors = te_factors(frame, column, reference_te_ms)
    except (*FAULTS, KeyError) as error:
        return {"n": n, "reason": f"the fit failed: {error}"}
    after = wide(rows, "harmonised")
    return {
        "n": n,
        "volumes": rows.to_dict("records"),
        "factors": {str(te): _factor(row) for te, row in factors.drop(reference_te_ms).iterrows()},
        "within_patient_cv": {"before": within_patient_cv(table), "after": within_patient_cv(after)},
        **_ratio(table.dropna(), after.dropna(), seed),
        "cover": _cover(rows, after[reference_te_ms], reference_te_ms),
    }


def _factor(row: pd.Series) -> dict[str, Any]:
    ends = [np.exp(row["log"] - Z95 * row["se"]), np.exp(row["log"] + Z95 * row["se"])]
    return {"value": np.exp(row["log"]), "ci95": ends, "relative_se_of_a_volume": row["se_volume"]}


def _ratio(before: pd.DataFrame, after: pd.DataFrame, seed: int) -> dict[str, Any]:
    def of(squares: np.ndarray, axis: int = 0) -> np.ndarray:
        means = squares.mean(axis=axis)
        return np.sqrt(means[..., 1] / means[..., 0])

    squares = np.stack([(t.std(axis=1, ddof=1) / t.mean(axis=1)).to_numpy() ** 2 for t in (before, after)], axis=1)
    if not squares[:, 0].any():
        return {"cv_ratio": None, "cv_ratio_ci95": None}
    return {"cv_ratio": of(squares), "cv_ratio_ci95": bootstrap_interval(squares, of, seed)}


def _cover(rows: pd.DataFrame, reference: pd.Series, reference_te_ms: int) -> dict[str, Any]:
    others = rows[rows["te_ms"] != reference_te_ms]
    error = (others["harmonised"] - others["subject"].map(reference)).dropna()
    held = error.abs() <= Z95 * others.loc[error.index, "se"]
    return {"n": len(held), "share": held.mean() if len(held) else None}
