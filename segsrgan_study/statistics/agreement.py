"""Agreement between acquisitions of the same patients: limits, correlations, coefficients, paired variances.

Tables have one row per patient and one column per TE, see `spread.wide`; patients with a missing value are left out.
Where the data do not allow a result, a function returns {"reason": why}: the reason stands in its place, and the study
goes on.
"""

from collections.abc import Callable
from functools import wraps

import numpy as np
import pandas as pd
from scipy import stats
from scipy.linalg import helmert


def need(condition: bool, reason: str) -> None:
    """Raise ValueError with a reason, for `or_reason`, unless a condition holds."""
    if not condition:
        raise ValueError(reason)


def or_reason(function: Callable[..., dict]) -> Callable[..., dict]:
    """Decorate a function: where the data or a numerical fault leave no result, it returns {"reason": why}."""

    @wraps(function)
    def guarded(*arguments, **named) -> dict:
        try:
            return function(*arguments, **named)
        except (ValueError, ZeroDivisionError, np.linalg.LinAlgError) as error:
            return {"reason": str(error)}

    return guarded


@or_reason
def shapiro(values: np.ndarray) -> dict[str, float]:
    """Test the normality of values (n,): "w" and "p" (Shapiro and Wilk 1965; scipy)."""
    values = np.asarray(values, float)
    different = len(values) > 2 and np.ptp(values) >= 1e-12 * max(1.0, np.abs(values).max())
    need(different, f"{len(values)} values, or all equal: normality cannot be tested")
    w, p = stats.shapiro(values)
    return {"w": float(w), "p": float(p)}


@or_reason
def paired_mean(reference: pd.Series, values: pd.Series) -> dict:
    """Find the mean difference of values to a reference, one value per patient each, with its t interval.

    "relative" and "relative_ci95" are over the reference's mean.
    """
    reference, values = _pairs(reference, values)
    need(len(values) > 1, "fewer than two pairs")
    difference, base = values - reference, reference.mean()
    mean, interval = difference.mean(), _t_interval(difference)
    result = {"n": len(values), "mean": mean, "ci95": interval, "sd": difference.std(ddof=1)}
    result |= {"relative": mean / base, "relative_ci95": [edge / base for edge in interval]} if base else {}
    return result | {"shapiro_differences": shapiro(difference)}


@or_reason
def bland_altman(first: pd.Series, second: pd.Series) -> dict:
    """Find the limits of agreement of second - first, one value per patient each (Bland and Altman 1986, 1999).

    "bias" has a t interval; the limits, "lower" and "upper" (bias -+ 1.96 sd), approximate ones (standard error
    sd sqrt(1/n + 1.96^2 / (2 (n - 1)))). Limits assume normal differences, and no correlation of difference and mean.
    """
    first, second = _pairs(first, second)
    n, difference = len(first), second - first
    need(n > 2, "fewer than three pairs")
    bias, sd = difference.mean(), difference.std(ddof=1)
    result = {"n": n, "bias": bias, "bias_ci95": _t_interval(difference), "sd": sd}
    half = stats.t.ppf(0.975, n - 1) * sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    for name, limit in (("lower", bias - 1.96 * sd), ("upper", bias + 1.96 * sd)):
        result |= {name: limit, f"{name}_ci95": [limit - half, limit + half]}
    slope = _correlation((first + second) / 2, difference)
    return {**result, "shapiro_differences": shapiro(difference), "slope_with_mean": slope}


@or_reason
def icc(table: pd.DataFrame) -> dict:
    """Find the intraclass correlations of single measurements, from the two-way mean squares (Shrout and Fleiss 1979).

    "icc_2_1" is absolute agreement (TE as random), "icc_3_1" consistency (TE as fixed); intervals are those of McGraw
    and Wong (1996, table 7).
    """
    values = table.dropna().to_numpy(float)
    n, k = values.shape
    need(n > 1 and k > 1 and np.ptp(values) > 0, "needs two patients and two TE that differ")
    patients, tes = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    rest = values - patients - tes + values.mean()
    msr = k * np.var(patients) * n / (n - 1)
    msc = n * np.var(tes) * k / (k - 1)
    mse = np.sum(rest**2) / ((n - 1) * (k - 1))
    agreement = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    return {
        "n": n,
        "icc_2_1": agreement,
        "icc_2_1_ci95": _agreement_interval(agreement, msr, msc, mse, n, k) if mse and agreement < 1 else None,
        "icc_3_1": (msr - mse) / (msr + (k - 1) * mse),
        "icc_3_1_ci95": _consistency_interval(msr / mse, n, k) if mse else None,
        "mean_squares": {"patients": msr, "te": msc, "residual": mse},
        "assumption": {"shapiro_residuals": shapiro(rest.ravel())},
    }


@or_reason
def within_patient_cv(table: pd.DataFrame) -> dict:
    """Find the coefficient of variation over TE within a patient (Bland 2015): "n", and "rms", "mean" and "max"."""
    complete = table.dropna()
    need(len(complete) > 0 and complete.shape[1] > 1, "no patient with two TE or more")
    cv = complete.std(axis=1, ddof=1) / complete.mean(axis=1)
    return {"n": len(cv), "rms": float(np.sqrt(np.mean(cv**2))), "mean": cv.mean(), "max": cv.max()}


@or_reason
def sphericity(table: pd.DataFrame) -> dict:
    """Check that all differences between two TE vary alike, as a random intercept and an analysis of variance assume.

    "epsilon" (Greenhouse and Geisser 1959) is 1 where it holds; both degrees of freedom are multiplied by it where it
    does not. With three TE or more "mauchly_differences" (Mauchly 1940, Box's approximation).
    """
    values = table.dropna().to_numpy(float)
    n, k = values.shape
    need(n > k > 1, f"needs more complete patients than the {k} TE, and two TE")
    contrasts = values @ helmert(k).T  # (n, k - 1), orthonormal
    roots = np.linalg.eigvalsh(np.atleast_2d(np.cov(contrasts, rowvar=False)))
    need(roots.min() > 1e-12 * max(roots.max(), 1e-300), "the differences between TE do not vary in every direction")
    p = k - 1
    epsilon = float(roots.sum() ** 2 / (p * np.sum(roots**2)))
    if k == 2:
        return {"epsilon": epsilon}
    w = np.prod(roots) / np.mean(roots) ** p
    chi2 = -(n - 1 - (2 * p**2 + p + 2) / (6 * p)) * np.log(w)
    mauchly = {"w": float(w), "p": float(stats.chi2.sf(chi2, p * (p + 1) / 2 - 1))}
    return {"epsilon": epsilon, "mauchly_differences": mauchly}


@or_reason
def pitman_morgan(x: np.ndarray, y: np.ndarray) -> dict:
    """Test that two paired samples (n,) have one variance: the correlation of x + y with x - y (Pitman, Morgan 1939).

    Of volumes give logarithms: their sd is the relative spread. The interval of "variance_ratio", var(y) / var(x), is
    exact where (x, y) is bivariate normal.
    """
    x, y = _pairs(pd.Series(x), pd.Series(y))
    n = len(x)
    need(np.isfinite([x, y]).all(), "a volume is not positive: no logarithm")
    correlation = _correlation(x + y, x - y)
    need(n > 3 and np.ptp(x) > 0 and np.ptp(y) > 0 and "p" in correlation, "needs four pairs or more that vary")
    ratio = np.var(y, ddof=1) / np.var(x, ddof=1)
    r_squared = np.corrcoef(x, y)[0, 1] ** 2
    spread = 1 + 2 * (1 - r_squared) * stats.t.ppf(0.975, n - 2) ** 2 / (n - 2)
    width = np.sqrt(spread**2 - 1)
    return {
        "n": n,
        **correlation,
        "variance_ratio": ratio,
        "variance_ratio_ci95": [ratio * (spread - width), ratio * (spread + width)],
        "assumption": {"shapiro_sum": shapiro(x + y), "shapiro_difference": shapiro(x - y)},
    }


def _pairs(first: pd.Series, second: pd.Series) -> np.ndarray:
    """Return the values of both where neither is missing, (2, n)."""
    return pd.concat([first, second], axis=1).dropna().to_numpy(float).T


@or_reason
def _correlation(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    need(np.ptp(a) > 0 and np.ptp(b) > 0, "one of the two does not vary")
    r, p = stats.pearsonr(a, b)
    return {"r": float(r), "p": float(p)}


def _t_interval(values: np.ndarray) -> list[float]:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return [values.mean() - half, values.mean() + half]


def _consistency_interval(f: float, n: int, k: int) -> list[float]:
    free = (n - 1) * (k - 1)
    ends = f / stats.f.ppf(0.975, n - 1, free), f * stats.f.ppf(0.975, free, n - 1)
    return [(end - 1) / (end + k - 1) for end in ends]


def _agreement_interval(rho: float, msr: float, msc: float, mse: float, n: int, k: int) -> list[float]:
    a, b = k * rho / (n * (1 - rho)), 1 + k * rho * (n - 1) / (n * (1 - rho))
    free = (a * msc + b * mse) ** 2 / ((a * msc) ** 2 / (k - 1) + (b * mse) ** 2 / ((n - 1) * (k - 1)))
    f_low, f_high = stats.f.ppf(0.975, n - 1, free), stats.f.ppf(0.975, free, n - 1)
    other = k * msc + (k * n - k - n) * mse
    return [n * (msr - f_low * mse) / (f_low * other + n * msr), n * (f_high * msr - mse) / (other + n * f_high * msr)]
