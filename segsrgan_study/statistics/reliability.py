"""Do probabilities mean what they say? Of the voxels with a probability of 0.8, eight in ten should be inside.

Source: reliability diagrams and the expected calibration error (Guo et al. 2017, "On calibration of modern neural
networks", section 2), per structure and voxel.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage, stats

BINS = 10
REACH_MM = 5.0


def reliability(probability: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float]) -> pd.DataFrame:
    """Sort the voxels within 5 mm of the true structure by their probability.

    Farther away nothing is in doubt, and the share of such voxels would only tell how large the image is.

    Args:
        probability: float (X, Y, Z), in [0, 1].
        truth: (X, Y, Z), non-zero inside; not empty.
        spacing_mm: voxel size along each axis.

    Returns:
        One row a bin: bin_low, bin_high, n_voxels, probability_sum, true_sum.
    """
    near = ndimage.distance_transform_edt(truth == 0, spacing_mm) <= REACH_MM
    p, inside = probability[near].astype(float), truth[near] != 0
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    edges = np.linspace(0, 1, BINS + 1).round(6)
    sums = {"n_voxels": None, "probability_sum": p, "true_sum": inside}
    counts = {name: np.bincount(which, weights, BINS) for name, weights in sums.items()}
    return pd.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:], **counts}).astype({"n_voxels": int})


def pooled(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Add up tables of `reliability`: bin_low, bin_high, n_voxels, mean_probability, share_inside (nan where empty)."""
    total = sum(table[["n_voxels", "probability_sum", "true_sum"]] for table in tables)
    n = total["n_voxels"].where(total["n_voxels"] > 0)
    means = {"mean_probability": total["probability_sum"] / n, "share_inside": total["true_sum"] / n}
    return tables[0][["bin_low", "bin_high"]].assign(n_voxels=total["n_voxels"], **means)


def calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error of a table of `reliability`: mean over voxels of |probability - share inside|."""
    gap = (table["probability_sum"] - table["true_sum"]).abs()
    return float(gap.sum() / table["n_voxels"].sum())


def cover_of_volumes(volumes: pd.DataFrame, cases: int) -> Mapping[str, dict]:
    """Tell how often a volume's 95 % interval holds the true volume, per structure.

    Args:
        volumes: columns structure, volume_ml, volume_true_ml, volume_se_ml.
        cases: that the standard errors were learnt from; the interval is Student's t with as many degrees of freedom.

    Returns:
        Structure to "n", "share" inside, "z": root mean square of error over standard error (1 where they are right),
        "mean_se" over the mean volume. Rows without a standard error are left out.
    """
    known = volumes[np.isfinite(volumes["volume_se_ml"]) & (volumes["volume_se_ml"] > 0)]
    reach = stats.t.ppf(0.975, max(cases, 1))
    result = {}
    for structure, rows in known.groupby("structure"):
        z = (rows["volume_ml"] - rows["volume_true_ml"]) / rows["volume_se_ml"]
        volume = rows["volume_ml"].mean()
        relative = float(rows["volume_se_ml"].mean() / volume) if volume > 0 else float("nan")
        share, spread = float((z.abs() <= reach).mean()), float(np.sqrt((z**2).mean()))
        result[structure] = {"n": len(rows), "share": share, "z": spread, "relative_se": relative}
    return result
