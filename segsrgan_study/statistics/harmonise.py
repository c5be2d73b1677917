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
    """Find by which factor each TE moves a volume; ValueError where the reference was not acquired or the fit fails.

    By TE in ms: "log" of the factor against the reference, its "se", and "se_volume", of the logarithm of a corrected
    volume as a prediction of the reference TE's, with the spread within a patient of both.
    """
    logs = volumes.assign(log=np.log(volumes[column]))
    tes = sorted(logs["te_ms"].astype(int).unique())
    need(reference_te_ms in tes, f"no volume at the reference TE of {reference_te_ms} ms")
    fit = fit_mixed_model(te_formula(logs, "log"), logs)
    others = [te for te in tes if te != reference_te_ms]
    table = compare_te(fit, [(reference_te_ms, te) for te in others]).set_axis(others)
    table = table.rename(columns={"coef": "log", "std err": "se"})[["log", "se"]]
    return table.assign(se_volume=np.sqrt(table["se"] ** 2 + 2 * fit.scale)).reindex(tes, fill_value=0.0)


def harmonised(volumes: pd.DataFrame, column: str, reference_te_ms: int) -> pd.DataFrame:
    """Correct the volumes of each of four patients or more with the others' factors.

    A row per patient and TE: subject, te_ms, measured, harmonised, se (of the last, delta method; 0 at the reference).
    """
    known = volumes.dropna(subset=[column]).astype({"te_ms": int}).sort_values(["subject", "te_ms"])
    parts = [
        own.join(te_factors(known[known["subject"] != subject], column, reference_te_ms), on="te_ms")
        for subject, own in known.groupby("subject")
    ]
    rows = pd.concat(parts, ignore_index=True)
    corrected = rows[column] / np.exp(rows["log"])
    columns = {"measured": rows[column], "harmonised": corrected, "se": corrected * rows["se_volume"]}
    return rows[["subject", "te_ms"]].assign(**columns)


@or_reason
def harmonisation(volumes: pd.DataFrame, column: str, reference_te_ms: int, seed: int = 0) -> dict[str, Any]:
    """Find what correcting to the reference TE is worth, on patients held out from the fit one at a time.

    The volumes have columns subject, te_ms, the positive `column` and, where known, age_weeks. Found are "volumes": the
    table of `harmonised`; "factors" per TE from all patients (divide a volume by it); "within_patient_cv" before and
    after, "cv_ratio" of the two with a bootstrap interval over patients; "cover": the "share" of n corrected volumes
    whose 95 % interval contains the reference TE's.
    """
    frame = volumes.dropna(subset=[column])
    before = wide(frame, column).dropna()
    enough = len(before) >= LEAST_PATIENTS and before.shape[1] > 1
    varies = frame[column].min() > 0 and frame[column].nunique() > 1
    need(enough and varies, f"needs {LEAST_PATIENTS} patients with every TE, and positive volumes that vary")
    rows = harmonised(frame, column, reference_te_ms)
    factors = {}
    for te, row in te_factors(frame, column, reference_te_ms).drop(reference_te_ms).iterrows():
        value, low, high = np.exp(row["log"] + row["se"] * np.array([0, -Z95, Z95]))
        factors[str(te)] = {"value": value, "ci95": [low, high], "relative_se_of_a_volume": row["se_volume"]}
    after = wide(rows, "harmonised")
    others = rows[rows["te_ms"] != reference_te_ms]
    error = (others["harmonised"] - others["subject"].map(after[reference_te_ms])).dropna()
    inside = error.abs() <= Z95 * others.loc[error.index, "se"]
    return {
        "n": len(before),
        "volumes": rows,
        "factors": factors,
        "within_patient_cv": {"before": within_patient_cv(before), "after": within_patient_cv(after)},
        **_ratio(before, after.dropna(), seed),
        "cover": {"n": len(inside), "share": inside.mean() if len(inside) else None},
    }


def _ratio(before: pd.DataFrame, after: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return the coefficient of variation within a patient after over before, root mean squares over patients."""

    def of(before: np.ndarray, after: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.sqrt(after.mean(axis) / before.mean(axis))

    squares = [((t.std(axis=1, ddof=1) / t.mean(axis=1)) ** 2).to_numpy() for t in (before, after)]
    if not squares[0].any():
        return {"cv_ratio": None, "cv_ratio_ci95": None}
    return {"cv_ratio": float(of(*squares)), "cv_ratio_ci95": bootstrap(squares, of, seed)[0]}
