"""Agreement between acquisitions of the same patients: limits, correlations, coefficients, paired variances.

Tables are "wide": one row a patient, one column a TE. A quantity that the data cannot give is returned as
{"reason": ...} instead of an exception, so that one degenerate column never ends the study.
"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats


def shapiro(values: np.ndarray) -> dict:
    """Shapiro-Wilk test of normality: {"w", "p"}, or {"reason"} below three values or where all are equal."""
    values = np.asarray(values, float)
    if len(values) < 3 or np.ptp(values) < 1e-12 * max(1.0, np.abs(values).max()):
        return {"reason": f"{len(values)} values, or all equal: normality cannot be tested"}
    w, p = stats.shapiro(values)
    return {"w": float(w), "p": float(p)}


def bland_altman(first: pd.Series, second: pd.Series) -> dict:
    """Limits of agreement of second - first (Bland and Altman 1986, 1999).

    Returns:
        "bias" with its t interval, "lower" and "upper" limits (bias -+ 1.96 sd) with their approximate intervals
        (standard error sd sqrt(1/n + 1.96^2 / (2 (n - 1)))), "n"; assumptions: normality of the differences,
        and the correlation of difference and mean (limits assume none).
    """
    pairs = pd.concat([first, second], axis=1).dropna().to_numpy()
    n = len(pairs)
    if n < 3:
        return {"n": n, "reason": "fewer than three pairs"}
    difference, mean = pairs[:, 1] - pairs[:, 0], pairs.mean(axis=1)
    bias, sd, t = difference.mean(), difference.std(ddof=1), stats.t.ppf(0.975, n - 1)
    lower, upper = bias - 1.96 * sd, bias + 1.96 * sd
    half = t * sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    return {
        "n": n,
        "bias": bias,
        "bias_ci95": [bias - t * sd / np.sqrt(n), bias + t * sd / np.sqrt(n)],
        "sd": sd,
        "lower": lower,
        "lower_ci95": [lower - half, lower + half],
        "upper": upper,
        "upper_ci95": [upper - half, upper + half],
        "shapiro_differences": shapiro(difference),
        "slope_with_mean": _correlation(mean, difference),
    }


def bland_altman_pairs(table: pd.DataFrame) -> dict[str, dict]:
    """`bland_altman` of every pair of TE: {"200-120": later minus earlier, ...}."""
    pairs = combinations(table.columns, 2)
    return {f"{later}-{earlier}": bland_altman(table[earlier], table[later]) for earlier, later in pairs}


def icc(table: pd.DataFrame) -> dict:
    """Intraclass correlations of single measurements, from the two-way mean squares (Shrout and Fleiss 1979).

    ICC(2,1) is absolute agreement with TE as random, ICC(3,1) consistency with TE as fixed. Intervals after
    McGraw and Wong (1996, table 7). Patients with a missing TE are left out.
    """
    values = table.dropna().to_numpy()
    n, k = values.shape
    if n < 2 or k < 2 or np.ptp(values) == 0:
        return {"n": n, "reason": "needs two patients and two TE that differ"}
    patients, tes = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    rest = values - patients - tes + values.mean()
    msr = k * np.var(patients) * n / (n - 1)
    msc = n * np.var(tes) * k / (k - 1)
    mse = np.sum(rest**2) / ((n - 1) * (k - 1))
    agreement = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    consistency = (msr - mse) / (msr + (k - 1) * mse)
    return {
        "n": n,
        "icc_2_1": agreement,
        "icc_2_1_ci95": _agreement_interval(agreement, msr, msc, mse, n, k),
        "icc_3_1": consistency,
        "icc_3_1_ci95": _consistency_interval(msr, mse, n, k),
        "mean_squares": {"patients": msr, "te": msc, "residual": mse},
        "assumption": {"shapiro_residuals": shapiro(rest.ravel())},
    }


def within_patient_cv(table: pd.DataFrame) -> dict:
    """Coefficient of variation over TE within a patient: root mean square over patients (Bland 2015), and mean."""
    complete = table.dropna()
    if len(complete) == 0 or complete.shape[1] < 2:
        return {"n": len(complete), "reason": "no patient with two TE or more"}
    cv = complete.std(axis=1, ddof=1) / complete.mean(axis=1)
    return {"n": len(cv), "rms": float(np.sqrt(np.mean(cv**2))), "mean": cv.mean(), "max": cv.max()}


def pitman_morgan(x: np.ndarray, y: np.ndarray) -> dict:
    """Test that two paired samples have one variance: the correlation of x + y with x - y (Pitman, Morgan 1939).

    The variance ratio var(y) / var(x) has an exact interval where (x, y) is bivariate normal; Shapiro-Wilk of the
    sum and of the difference checks it. For volumes give logarithms: their sd is the relative spread.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    n = len(x)
    correlation = _correlation(x + y, x - y) if n > 3 else {}
    if "p" not in correlation or np.ptp(x) == 0 or np.ptp(y) == 0:
        return {"n": n, "reason": "needs four pairs or more that vary"}
    ratio = np.var(y, ddof=1) / np.var(x, ddof=1)
    r_squared = np.corrcoef(x, y)[0, 1] ** 2
    spread = 1 + 2 * (1 - r_squared) * stats.t.ppf(0.975, n - 2) ** 2 / (n - 2)
    width = np.sqrt(spread**2 - 1)
    return {
        "n": n,
        "r": correlation["r"],
        "p": correlation["p"],
        "variance_ratio": ratio,
        "variance_ratio_ci95": [ratio * (spread - width), ratio * (spread + width)],
        "assumption": {"shapiro_sum": shapiro(x + y), "shapiro_difference": shapiro(x - y)},
    }


def _correlation(a: np.ndarray, b: np.ndarray) -> dict:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return {"reason": "one of the two does not vary"}
    r, p = stats.pearsonr(a, b)
    return {"r": float(r), "p": float(p)}


def _consistency_interval(msr: float, mse: float, n: int, k: int) -> list[float] | None:
    if mse == 0:
        return None
    f, free = msr / mse, (n - 1) * (k - 1)
    low, high = f / stats.f.ppf(0.975, n - 1, free), f * stats.f.ppf(0.975, free, n - 1)
    return [(low - 1) / (low + k - 1), (high - 1) / (high + k - 1)]


def _agreement_interval(rho: float, msr: float, msc: float, mse: float, n: int, k: int) -> list[float] | None:
    if mse == 0 or rho >= 1:
        return None
    a, b = k * rho / (n * (1 - rho)), 1 + k * rho * (n - 1) / (n * (1 - rho))
    free = (a * msc + b * mse) ** 2 / ((a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1)))
    f_low, f_high = stats.f.ppf(0.975, n - 1, free), stats.f.ppf(0.975, free, n - 1)
    other = k * msc + (k * n - k - n) * mse
    low = n * (msr - f_low * mse) / (f_low * other + n * msr)
    high = n * (f_high * msr - mse) / (other + n * f_high * msr)
    return [low, high]
