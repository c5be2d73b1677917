"""Reliability of probabilities and of standard errors: does each contain the truth as often as it promises?

Reliability diagrams and the expected calibration error are those of Guo et al. 2017 ("On calibration of modern neural
networks", section 2), per structure and voxel.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import ndimage, stats

BINS = 10
REACH_MM = 5.0
VOLUMES = ["volume_ml", "volume_true_ml", "volume_se_ml"]


def reliability_bins(probability: np.ndarray, truth: np.ndarray, spacing_mm: Sequence[float]) -> pd.DataFrame:
    """Sort the voxels within 5 mm of the true structure by their probability.

    Farther away nothing is in doubt, and the share of such voxels would only tell how large the image is.

    Args:
        probability: float (X, Y, Z), in [0, 1].
        truth: (X, Y, Z), non-zero inside; not empty.
        spacing_mm: voxel size along each axis.

    Returns:
        One row per bin: bin_low, bin_high, n_voxels, probability_sum, true_sum.
    """
    near = ndimage.distance_transform_edt(truth == 0, spacing_mm) <= REACH_MM
    p, inside = probability[near].astype(float), truth[near] != 0
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    edges = np.linspace(0, 1, BINS + 1).round(6)
    counts = {"n_voxels": np.bincount(which, minlength=BINS)}
    counts |= {"probability_sum": np.bincount(which, p, BINS), "true_sum": np.bincount(which, inside, BINS)}
    return pd.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:], **counts})


def pooled(bins: pd.DataFrame) -> pd.DataFrame:
    """Add up the bins of several subjects: rows of `reliability_bins` with a column structure.

    Returns:
        Columns structure, bin_low, bin_high, n_voxels, mean_probability, share_inside (nan where a bin is empty).
    """
    total = bins.groupby(["structure", "bin_low", "bin_high"], sort=False).sum(numeric_only=True).reset_index()
    means = {"mean_probability": total.pop("probability_sum"), "share_inside": total.pop("true_sum")}
    return total.assign(**{name: sums / total["n_voxels"] for name, sums in means.items()})


def expected_error(bins: pd.DataFrame) -> float:
    """Return the expected calibration error of a structure's bins: mean over voxels of |probability - share inside|."""
    gap = (bins["probability_sum"] - bins["true_sum"]).abs()
    return float(gap.sum() / bins["n_voxels"].sum())


def volume_table(scores: pd.DataFrame) -> pd.DataFrame:
    """Return SegSRGAN's volumes out of the long table of scores: subject, structure and the columns of `VOLUMES`."""
    chosen = scores[(scores["method"] == "segsrgan") & scores["metric"].isin(VOLUMES)]
    wide = chosen.pivot(index=["subject", "structure"], columns="metric", values="value")
    return wide.reindex(columns=VOLUMES).dropna().reset_index()


def coverage(volumes: pd.DataFrame, cases: int, by: str = "structure") -> dict[str, dict]:
    """Tell how often the intervals of volumes contain the true volume.

    Args:
        volumes: one row per measured volume, with `by` and the columns of `VOLUMES`; rows without a standard error are
            left out.
        cases: that the standard errors were learnt from; the interval is Student's t with as many degrees of freedom.
        by: column of the groups.

    Returns:
        Group to "n", "share" inside, "z": root mean square of error over standard error (1 where they are right),
        "relative_se": mean standard error over the mean volume.
    """
    known = volumes[np.isfinite(volumes["volume_se_ml"]) & (volumes["volume_se_ml"] > 0)]
    reach = stats.t.ppf(0.975, max(cases, 1))
    result = {}
    for group, rows in known.groupby(by):
        z = (rows["volume_ml"] - rows["volume_true_ml"]) / rows["volume_se_ml"]
        share, spread = float((z.abs() <= reach).mean()), float(np.sqrt((z**2).mean()))
        relative = float(rows["volume_se_ml"].mean() / (rows["volume_ml"].mean() or np.nan))
        result[str(group)] = {"n": len(rows), "share": share, "z": spread, "relative_se": relative}
    return result
