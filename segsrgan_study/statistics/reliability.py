"""Reliability of probabilities: is a structure there as often as they promise?

Reliability diagrams and the expected calibration error are those of Guo et al. 2017 ("On calibration of modern neural
networks", section 2), per structure and voxel.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

BINS = 10
REACH_MM = 5.0
BEFORE = "_before_calibration"  # end of the name of a structure whose probabilities are not calibrated


def near_truth(truth: np.ndarray, spacing_mm: Sequence[float]) -> np.ndarray:
    """Return the voxels within 5 mm of a true structure, bool (X, Y, Z); `truth` is not 0 inside, and not empty.

    Farther away nothing is in doubt, and the share of such voxels would only tell how large the image is.
    """
    return ndimage.distance_transform_edt(truth == 0, spacing_mm) <= REACH_MM


def reliability_bins(probability: np.ndarray, truth: np.ndarray, near: np.ndarray) -> pd.DataFrame:
    """Sort the voxels `near` (of `near_truth`) by their probability in [0, 1]; (X, Y, Z), `truth` non-zero inside."""
    p, inside = probability[near].astype(float), truth[near] != 0
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    edges = np.linspace(0, 1, BINS + 1).round(6)
    counts = {"n_voxels": np.bincount(which, minlength=BINS)}
    counts |= {"probability_sum": np.bincount(which, p, BINS), "true_sum": np.bincount(which, inside, BINS)}
    return pd.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:], **counts})


def pooled(bins: pd.DataFrame) -> pd.DataFrame:
    """Add up rows of `reliability_bins`, with a column structure, of several subjects; nan where a bin is empty."""
    total = bins.groupby(["structure", "bin_low", "bin_high"], sort=False).sum(numeric_only=True).reset_index()
    means = {"mean_probability": total.pop("probability_sum"), "share_inside": total.pop("true_sum")}
    return total.assign(**{name: sums / total["n_voxels"] for name, sums in means.items()})


def expected_error(bins: pd.DataFrame) -> float:
    """Return the expected calibration error of a structure's bins: mean over voxels of |probability - share inside|."""
    return float((bins["probability_sum"] - bins["true_sum"]).abs().sum() / bins["n_voxels"].sum())


def ranking(uncertainty: np.ndarray, truth: np.ndarray, found: np.ndarray, near: np.ndarray) -> float:
    """Return how well an uncertainty ranks wrong labels before right ones: the area under the ROC curve.

    All are (X, Y, Z), labels `truth` and `found`, and of `near_truth` the voxels that count. The area lies in [0, 1];
    nan where no label or every label is wrong.
    """
    from sklearn.metrics import roc_auc_score

    wrong = (truth != found)[near]
    return float(roc_auc_score(wrong, uncertainty[near])) if wrong.any() and not wrong.all() else float("nan")
