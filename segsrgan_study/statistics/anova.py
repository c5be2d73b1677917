"""Repeated-measures analysis of variance over TE: the exact small-sample companion of the likelihood-ratio test.

A random intercept implies that all differences between two TE vary equally (sphericity). Mauchly's test checks it, and
Greenhouse and Geisser's epsilon corrects the F test where it does not hold.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.linalg import helmert


def repeated_measures(table: pd.DataFrame) -> dict[str, Any]:
    """Test whether the means of the columns differ, each row measured in every column.

    Args:
        table: one row a patient, one column a TE; patients with a missing TE are left out.

    Returns:
        "n", "f", "df" and "p" as if spherical; "epsilon" (Greenhouse and Geisser 1959; 1 where spherical) and
        "p_corrected", for both degrees of freedom times epsilon; "assumption": {"mauchly_differences": {"w", "p"}}
        (Mauchly 1940, three TE or more). {"reason"} where the data cannot give them.
    """
    values = table.dropna().to_numpy(float)
    n, k = values.shape
    if n <= k or k < 2:
        return {"n": n, "reason": f"needs more complete patients than the {k} TE, and two TE"}
    contrasts = values @ helmert(k).T  # (n, k - 1), orthonormal
    covariance = np.atleast_2d(np.cov(contrasts, rowvar=False))
    roots = np.linalg.eigvalsh(covariance)
    if roots.min() <= 1e-12 * max(roots.max(), 1e-300):
        return {"n": n, "reason": "the differences between TE do not vary in every direction"}
    f = n * np.sum(contrasts.mean(axis=0) ** 2) / roots.sum()
    df = np.array([k - 1, (k - 1) * (n - 1)])
    epsilon = roots.sum() ** 2 / ((k - 1) * np.sum(roots**2))
    result = {"n": n, "f": float(f), "df": df.tolist(), "p": float(stats.f.sf(f, *df)), "epsilon": float(epsilon)}
    result["p_corrected"] = float(stats.f.sf(f, *(epsilon * df)))
    return result | ({"assumption": {"mauchly_differences": _mauchly(roots, n)}} if k > 2 else {})


def _mauchly(roots: np.ndarray, n: int) -> dict[str, float]:
    """Mauchly's test from the eigenvalues of the contrasts' covariance, with Box's chi-squared approximation."""
    p = len(roots)
    w = np.prod(roots) / np.mean(roots) ** p
    chi2 = -(n - 1 - (2 * p**2 + p + 2) / (6 * p)) * np.log(w)
    return {"w": float(w), "p": float(stats.chi2.sf(chi2, p * (p + 1) / 2 - 1))}
