"""Spread of volumes between patients at each TE: the talk's table, with intervals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segsrgan_study.statistics.intervals import bootstrap

# What is analysed, and the columns of volumes.csv that hold it. ICV is that of the network's own mask.
MEASURES = {"cortex": "cortex_ml", "cortex_over_icv": "cortex_over_icv"}
# Beside them in the talk's table: the talk's own ratio, by BET.
SPREADS = MEASURES | {"cortex_over_icv_bet": "cortex_over_icv_bet"}
TITLES = {"cortex": "cortex volume", "cortex_over_icv": "cortex / ICV (network)"}
TITLES |= {"cortex_over_icv_bet": "cortex / ICV (BET)", "icv": "ICV (network)", "icv_bet": "ICV (BET)"}


def wide(volumes: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of the table of volumes with one row per patient and one column per TE in ms (int, ascending)."""
    return volumes.astype({"te_ms": int}).pivot(index="subject", columns="te_ms", values=column).astype(float)


def sd_over_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the sample standard deviation (ddof = 1) over the mean along the axis of the patients.

    It is not finite for a single patient and where the mean is zero.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return stats.variation(values, axis=axis, ddof=1)


def iqr_over_median(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the interquartile range (linear interpolation) divided by the median; see `sd_over_mean`."""
    low, median, high = np.percentile(values, [25, 50, 75], axis=axis)
    several = 1.0 if np.shape(values)[axis] > 1 else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return several * (high - low) / median


STATISTICS = {"sd_over_mean": sd_over_mean, "iqr_over_median": iqr_over_median}


def spread(volumes: pd.DataFrame, seed: int = 0) -> dict[str, dict]:
    """Return both statistics of all measures (`SPREADS`) per TE, with bootstrap intervals (BCa) over patients.

    By measure and TE, {"cortex": {"120": value, ...}, ...}, None where fewer than two patients have the TE; "n" by TE;
    "bootstrap": by statistic, measure and TE its "bias_over_se".
    """
    tables = {measure: wide(volumes, column) for measure, column in SPREADS.items()}
    result: dict[str, dict] = {"n": {str(te): int(n) for te, n in tables["cortex"].count().items()}, "bootstrap": {}}
    for name, statistic in STATISTICS.items():
        found = {m: {str(te): _one(table[te].dropna(), statistic, seed) for te in table} for m, table in tables.items()}
        places = ((result, name), (result, f"{name}_ci95"), (result["bootstrap"], name))
        for i, (place, title) in enumerate(places):
            place[title] = {m: {te: entry[i] for te, entry in by_te.items()} for m, by_te in found.items()}
    return result


def _one(values: pd.Series, statistic: Callable[..., np.ndarray], seed: int) -> tuple[float | None, Any, dict]:
    """Return the statistic, its interval, and the bias or why there is no interval."""
    ends, bias = bootstrap(values, statistic, seed, "BCa")
    said = {"bias_over_se": bias} if ends else {"reason": "too few values, or too alike: no bootstrap interval"}
    return float(statistic(values)) if len(values) > 1 else None, ends, said


def true_spread(volumes: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Return `spread` of the true volumes, by measure: what a perfect method would find at every TE."""
    true = ["cortex_true_ml", "icv_true_ml"]
    if not set(true) <= set(volumes) or volumes["cortex_true_ml"].isna().all():
        return {"reason": "no true volume is known for this cohort"}
    once = volumes.drop_duplicates("subject").dropna(subset=true).assign(te_ms=0)
    cortex, icv = (once[column] for column in true)
    ratios = dict.fromkeys(("cortex_over_icv", "cortex_over_icv_bet"), cortex / icv)
    found = spread(once.assign(cortex_ml=cortex, **ratios), seed)
    names = [f"{name}{end}" for name in STATISTICS for end in ("", "_ci95")]
    return {"n": len(once)} | {name: {m: by_te["0"] for m, by_te in found[name].items()} for name in names}
