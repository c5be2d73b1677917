"""The talk's table: how much volumes differ between patients at each TE."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segsrgan_core.errors import UserError
from segsrgan_study.statistics.summary import DRAWS

# The talk's two measures and the columns of volumes.csv that hold them.
MEASURES = {"cortex": "cortex_ml", "cortex_over_icv": "cortex_over_icv"}
REQUIRED = ["subject", "te_ms", "cortex_ml", "icv_ml", "cortex_over_icv"]
TITLES = {"cortex": "cortex volume", "cortex_over_icv": "cortex / ICV"}


def check_volumes(volumes: pd.DataFrame) -> None:
    """Raise UserError unless the columns are there and each patient has each TE at most once."""
    absent = [column for column in REQUIRED if column not in volumes]
    if absent:
        raise UserError(f"volumes: expected the columns {REQUIRED}. Missing: {absent}.")
    if volumes["te_ms"].isna().any():
        raise UserError("volumes: expected an echo time in every row. Received rows without te_ms.")
    repeated = volumes.duplicated(["subject", "te_ms"])
    if repeated.any():
        first = volumes.loc[repeated, ["subject", "te_ms"]].iloc[0].to_dict()
        raise UserError(f"volumes: expected one row per patient and TE. Received twice: {first}.")


def wide(volumes: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row a patient, one column a TE in ms (int, ascending), values of `column`."""
    table = volumes.assign(te_ms=volumes["te_ms"].astype(int))
    return table.pivot(index="subject", columns="te_ms", values=column).astype(float)


def sd_over_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Sample standard deviation (ddof = 1) divided by the mean; not finite where the mean is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.std(values, axis=axis, ddof=1) / np.mean(values, axis=axis)


def iqr_over_median(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Interquartile range (linear interpolation between order statistics) divided by the median."""
    low, median, high = np.percentile(values, [25, 50, 75], axis=axis)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (high - low) / median


STATISTICS = {"sd_over_mean": sd_over_mean, "iqr_over_median": iqr_over_median}


def bootstrap(values: np.ndarray, statistic: Callable[..., np.ndarray], seed: int = 0) -> dict[str, Any]:
    """Bias-corrected and accelerated bootstrap interval (Efron 1987; scipy).

    Of 43 normal values it holds the true sd / mean in 94 of 100 samples, the percentile interval in 89: a sample's
    spread is too small on average, and that of the draws from it smaller still.

    Args:
        values: (n,), one a patient.
        statistic: one of STATISTICS.
        seed: of the draws.

    Returns:
        "ci95", and "bias_over_se", the draws' mean less the estimate over their standard deviation: above a quarter
        in size the bias counts (Efron and Tibshirani 1993, section 10.3); {"reason"} where it cannot be had.
    """
    values = np.asarray(values, float)
    if len(values) < 3 or np.ptp(values) == 0 or not np.isfinite(statistic(values)):
        return {"reason": f"{len(values)} values, or all equal: no bootstrap interval"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # told by the interval itself
        drawn = stats.bootstrap((values,), statistic, n_resamples=DRAWS, rng=np.random.default_rng(seed))
    low, high = drawn.confidence_interval
    if not np.isfinite([low, high]).all():
        return {"reason": f"{len(values)} values, too alike: no bootstrap interval"}
    bias = np.mean(drawn.bootstrap_distribution) - statistic(values)
    return {"ci95": [float(low), float(high)], "bias_over_se": float(bias / drawn.standard_error)}


def spread(volumes: pd.DataFrame, seed: int = 0) -> dict[str, dict]:
    """Both statistics of both measures per TE, with bootstrap intervals over patients.

    Returns:
        {"sd_over_mean": {"cortex": {"120": value, ...}, "cortex_over_icv": {...}}, "sd_over_mean_ci95": {"cortex":
        {"120": [low, high], ...}, ...}, "iqr_over_median": ..., "iqr_over_median_ci95": ..., "n": {"120": n, ...},
        "bootstrap": {"sd_over_mean": {"cortex": {"120": {"bias_over_se": ...}, ...}, ...}, ...}}.
        A value is None where fewer than two patients have the TE.
    """
    result: dict[str, dict] = {"bootstrap": {}}
    tables = {measure: wide(volumes, column) for measure, column in MEASURES.items()}
    for name, statistic in STATISTICS.items():
        columns = {m: {str(te): t[te].dropna().to_numpy() for te in t} for m, t in tables.items()}
        result[name] = {
            measure: {te: statistic(v) if len(v) > 1 else None for te, v in by_te.items()}
            for measure, by_te in columns.items()
        }
        drawn = {m: {te: bootstrap(v, statistic, seed) for te, v in by_te.items()} for m, by_te in columns.items()}
        ends = {m: {te: facts.pop("ci95", None) for te, facts in by_te.items()} for m, by_te in drawn.items()}
        result[f"{name}_ci95"], result["bootstrap"][name] = ends, drawn
    result["n"] = {str(te): int(tables["cortex"][te].count()) for te in tables["cortex"]}
    return result


def talk_table(volumes: pd.DataFrame) -> pd.DataFrame:
    """The talk's table: columns statistic, measure and one per TE; four rows, values at four decimals."""
    values, rows = spread(volumes), []
    for name, title in (("sd_over_mean", "sd / mean"), ("iqr_over_median", "IQR / median")):
        for measure, by_te in values[name].items():
            cells = {te: None if value is None else round(float(value), 4) for te, value in by_te.items()}
            rows.append({"statistic": title, "measure": TITLES[measure], **cells})
    return pd.DataFrame(rows)
