"""Spread of volumes between patients at each TE: the talk's table, with intervals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_study.statistics.intervals import bootstrap

# The talk's two measures and the columns of volumes.csv that hold them.
MEASURES = {"cortex": "cortex_ml", "cortex_over_icv": "cortex_over_icv"}
TITLES = {"cortex": "cortex volume", "cortex_over_icv": "cortex / ICV"}


def wide(volumes: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a table with one row per patient and one column per TE in ms (int, ascending).

    Args:
        volumes: one row per patient and TE: subject, te_ms and `column`.
        column: whose values fill the table.
    """
    table = volumes.assign(te_ms=volumes["te_ms"].astype(int))
    return table.pivot(index="subject", columns="te_ms", values=column).astype(float)


def sd_over_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the sample standard deviation (ddof = 1) divided by the mean.

    Args:
        values: any shape.
        axis: along which the patients are.

    Returns:
        One value per sample; not finite for a single patient and where the mean is zero.
    """
    values = np.asarray(values, float)
    mean = values.mean(axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.sum((values - mean) ** 2, axis) / np.float64(values.shape[axis] - 1)
        return np.sqrt(variance) / mean.squeeze(axis)


def iqr_over_median(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the interquartile range (linear interpolation) divided by the median; see `sd_over_mean`."""
    low, median, high = np.percentile(values, [25, 50, 75], axis=axis)
    several = 1.0 if np.shape(values)[axis] > 1 else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return several * (high - low) / median


STATISTICS = {"sd_over_mean": sd_over_mean, "iqr_over_median": iqr_over_median}


def spread(volumes: pd.DataFrame, seed: int = 0) -> dict[str, dict]:
    """Return both statistics of both measures per TE, with bootstrap intervals (BCa) over patients.

    Args:
        volumes: one row per patient and TE, with subject, te_ms and the columns of `MEASURES`.
        seed: of the bootstraps.

    Returns:
        {"sd_over_mean": {"cortex": {"120": value, ...}, "cortex_over_icv": {...}}, "sd_over_mean_ci95": {"cortex":
        {"120": [low, high], ...}, ...}, "iqr_over_median": ..., "iqr_over_median_ci95": ..., "n": {"120": n, ...},
        "bootstrap": {"sd_over_mean": {"cortex": {"120": {"bias_over_se": ...}, ...}, ...}, ...}}.
        A value is None where fewer than two patients have the TE.
    """
    tables = {measure: wide(volumes, column) for measure, column in MEASURES.items()}
    result: dict[str, dict] = {"n": {str(te): int(n) for te, n in tables["cortex"].count().items()}, "bootstrap": {}}
    for name, statistic in STATISTICS.items():
        found = {m: {str(te): _one(table[te].dropna(), statistic, seed) for te in table} for m, table in tables.items()}
        places = {"value": (result, name), "ci95": (result, f"{name}_ci95"), "bias": (result["bootstrap"], name)}
        for key, (place, title) in places.items():
            place[title] = {m: {te: entry[key] for te, entry in by_te.items()} for m, by_te in found.items()}
    return result


def _one(values: pd.Series, statistic: Callable[..., np.ndarray], seed: int) -> dict[str, Any]:
    ends, bias = bootstrap(values, statistic, seed, "BCa")
    value = float(statistic(values)) if len(values) > 1 else None
    said = {"reason": "too few values, or too alike: no bootstrap interval"} if ends is None else {"bias_over_se": bias}
    return {"value": value, "ci95": ends, "bias": said}


def true_spread(volumes: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Return the spread between patients of the true volumes: what a perfect method would find at every TE.

    Args:
        volumes: as `spread`, with cortex_true_ml and icv_true_ml where they are known.
        seed: of the bootstraps.

    Returns:
        "n", and the statistics and intervals of `spread`, each by measure; or {"reason"}.
    """
    if not {"cortex_true_ml", "icv_true_ml"} <= set(volumes) or volumes["cortex_true_ml"].isna().all():
        return {"reason": "no true volume is known for this cohort"}
    once = volumes.drop_duplicates("subject").dropna(subset=["cortex_true_ml", "icv_true_ml"]).assign(te_ms=0)
    cortex, icv = once["cortex_true_ml"], once["icv_true_ml"]
    found = spread(once.assign(cortex_ml=cortex, icv_ml=icv, cortex_over_icv=cortex / icv), seed)
    names = [f"{name}{end}" for name in STATISTICS for end in ("", "_ci95")]
    return {"n": len(once)} | {name: {m: by_te["0"] for m, by_te in found[name].items()} for name in names}
