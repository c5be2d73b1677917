"""Volume on TE and age with a random intercept per patient (statsmodels MixedLM)."""

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segsrgan_study.statistics.agreement import shapiro

Z95 = stats.norm.ppf(0.975)
FAULTS = (np.linalg.LinAlgError, ValueError, ZeroDivisionError)


def mixed_model(volumes: pd.DataFrame, column: str) -> dict[str, Any]:
    """Fit `column` ~ C(te_ms) + age_weeks + (1 | subject) and test whether TE matters.

    Effects and contrasts come from the REML fit with Wald intervals, the likelihood-ratio test from maximum-
    likelihood fits with and without TE. Age is left out where it is not known for all or does not vary.

    Args:
        volumes: columns subject, te_ms, `column` and, where known, age_weeks.
        column: the measure, e.g. "cortex_ml".

    Returns:
        "converged" (False with a "reason" where the fit failed), "formula", "effects" (against the shortest TE),
        "lrt", "contrasts" (all pairs, Holm), "sd_between", "sd_within", "assumptions", "warnings".
    """
    data = _data(volumes, column)
    result: dict[str, Any] = {"n_patients": data.n_patients, "n_images": len(data.frame)}
    if data.too_few:
        return {**result, "converged": False, "reason": "needs three patients, two TE and volumes that vary"}
    result["formula"] = data.formula
    without_te = data.design.loc[:, [not str(name).startswith("te_") for name in data.design]]
    try:
        reml, said = _fit(data, data.design, reml=True)
        full, said_full = _fit(data, data.design, reml=False)
        null, said_null = _fit(data, without_te, reml=False)
        result |= _estimates(reml, data)
        result["lrt"] = _likelihood_ratio(full, null, len(data.tes) - 1)
        result["assumptions"] = _assumptions(reml, data.frame["te_ms"])
    except FAULTS as error:
        return {**result, "converged": False, "reason": f"the fit failed: {error}"}
    result["converged"] = bool(reml.converged and full.converged and null.converged)
    if not result["converged"]:
        result["reason"] = "the optimiser did not converge: the estimates are not to be relied on"
    result["warnings"] = sorted(set(said + said_full + said_null))
    return result


def te_effects(volumes: pd.DataFrame, column: str) -> tuple[list[int], np.ndarray, np.ndarray, float]:
    """The REML fit of `mixed_model`, as numbers to compute with.

    Args:
        volumes: as `mixed_model`; needs three patients and two TE.
        column: the measure.

    Returns:
        The TE in ms, ascending; the effect of each against the first, (k,), whose first entry is 0; its covariance,
        (k, k); and the sd within a patient.

    Raises:
        ValueError: the fit fails.
    """
    data = _data(volumes, column)
    fit, _ = _fit(data, data.design, reml=True)
    k = len(data.tes)
    effects, covariance = np.zeros(k), np.zeros((k, k))
    effects[1:] = np.asarray(fit.fe_params)[1:k] * data.scale
    covariance[1:, 1:] = np.asarray(fit.cov_params())[1:k, 1:k] * data.scale**2
    return data.tes, effects, covariance, float(np.sqrt(fit.scale)) * data.scale


def residuals(volumes: pd.DataFrame, column: str) -> pd.DataFrame:
    """What the REML fit of `mixed_model` leaves: one row an image, for plots of its assumptions.

    Returns:
        Columns subject, te_ms, fitted, residual, intercept (the patient's), in the measure's unit; no rows where the
        model cannot be fitted.
    """
    data = _data(volumes, column)
    columns = ["subject", "te_ms", "fitted", "residual", "intercept"]
    try:
        fit = None if data.too_few else _fit(data, data.design, reml=True)[0]
    except FAULTS:
        fit = None
    if fit is None:
        return pd.DataFrame(columns=columns)
    intercepts = {subject: effect.iloc[0] * data.scale for subject, effect in fit.random_effects.items()}
    values = {"fitted": np.asarray(fit.fittedvalues) * data.scale, "residual": np.asarray(fit.resid) * data.scale}
    return data.frame.assign(**values, intercept=data.frame["subject"].map(intercepts))[columns]


@dataclass(frozen=True)
class _Data:
    """What is fitted; `y` in units of its sd, so that the optimiser sees the same numbers for ml as for a ratio."""

    frame: pd.DataFrame
    tes: list[int]
    design: pd.DataFrame
    formula: str
    scale: float
    y: np.ndarray

    @property
    def n_patients(self) -> int:
        return int(self.frame["subject"].nunique())

    @property
    def too_few(self) -> bool:
        return len(self.tes) < 2 or self.n_patients < 3 or len(np.unique(self.y)) < 2


def _data(volumes: pd.DataFrame, column: str) -> _Data:
    frame = volumes.dropna(subset=[column]).sort_values(["subject", "te_ms"], ignore_index=True)
    tes = sorted(frame["te_ms"].astype(int).unique())
    design, formula = _design(frame, tes, column)
    scale = float(frame[column].std()) or 1.0
    return _Data(frame, tes, design, formula, scale, frame[column].to_numpy(float) / scale)


def _design(frame: pd.DataFrame, tes: list[int], column: str) -> tuple[pd.DataFrame, str]:
    design = pd.DataFrame({"intercept": np.ones(len(frame))})
    for te in tes[1:]:
        design[f"te_{te}"] = (frame["te_ms"].astype(int) == te).astype(float)
    age = frame["age_weeks"].astype(float) if "age_weeks" in frame else pd.Series([np.nan] * len(frame))
    known = bool(age.notna().all() and age.nunique() > 1)
    if known:
        design["age_weeks"] = age - age.mean()
    return design, f"{column} ~ C(te_ms){' + age_weeks' if known else ''} + (1 | subject)"


def _fit(data: _Data, design: pd.DataFrame, reml: bool) -> tuple[Any, list[str]]:
    from statsmodels.regression.mixed_linear_model import MixedLM

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = MixedLM(data.y, design, data.frame["subject"].to_numpy()).fit(
            reml=reml, method=["bfgs", "lbfgs", "powell"]
        )
    if not np.isfinite(result.llf) or not np.all(np.isfinite(result.fe_params)):
        raise ValueError("the likelihood is not finite")
    said = [str(warning.message).splitlines()[0] for warning in caught]
    # What an optimiser said before another one converged is of no use to anyone.
    tried = ("Maximum Likelihood optimization failed", "Retrying MixedLM")
    return result, [text for text in said if not (result.converged and text.startswith(tried))]


def _estimates(fit: Any, data: _Data) -> dict[str, Any]:
    names, tes, scale = list(data.design), data.tes, data.scale
    beta = np.asarray(fit.fe_params) * scale
    covariance = np.asarray(fit.cov_params())[: len(names), : len(names)] * scale**2

    def effect(weights: np.ndarray) -> dict[str, Any]:
        value, error = float(weights @ beta), float(np.sqrt(weights @ covariance @ weights))
        p = 2 * stats.norm.sf(abs(value / error)) if error > 0 else None
        return {"value": value, "ci95": [value - Z95 * error, value + Z95 * error], "p": p}

    unit = dict(zip(names, np.eye(len(names)), strict=True)) | {f"te_{tes[0]}": np.zeros(len(names))}
    return {
        "effects": {name: effect(unit[name]) for name in names},
        "contrasts": _holm({f"{b}-{a}": effect(unit[f"te_{b}"] - unit[f"te_{a}"]) for a, b in combinations(tes, 2)}),
        "sd_between": float(np.sqrt(np.asarray(fit.cov_re)[0, 0])) * scale,
        "sd_within": float(np.sqrt(fit.scale)) * scale,
    }


def _holm(contrasts: dict[str, dict]) -> dict[str, dict]:
    from statsmodels.stats.multitest import multipletests

    tested = [name for name, contrast in contrasts.items() if contrast["p"] is not None]
    if tested:
        adjusted = multipletests([contrasts[name]["p"] for name in tested], method="holm")[1]
        for name, p in zip(tested, adjusted, strict=True):
            contrasts[name]["p_holm"] = float(p)
    return contrasts


def _likelihood_ratio(full: Any, null: Any, df: int) -> dict[str, float]:
    chi2 = max(0.0, 2 * (full.llf - null.llf))
    return {"chi2": chi2, "df": df, "p": float(stats.chi2.sf(chi2, df))}


def _assumptions(fit: Any, te_ms: pd.Series) -> dict[str, Any]:
    residuals = np.asarray(fit.resid)
    groups = [residuals[(te_ms == te).to_numpy()] for te in sorted(te_ms.unique())]
    f, p = stats.levene(*groups, center="median") if min(map(len, groups)) > 1 else (np.nan, np.nan)
    intercepts = np.array([effect.iloc[0] for effect in fit.random_effects.values()])
    return {
        "shapiro_residuals": shapiro(residuals),
        "shapiro_intercepts": shapiro(intercepts),
        "levene_residuals_by_te": {"f": float(f), "p": float(p)},
    }
