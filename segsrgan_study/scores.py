"""Scores of one estimate against its truth: image quality, overlap, surface distance, volume, topology.

Arrays are (X, Y, Z) on one grid. A mask is any array; what is not zero is inside. Distances are in mm and run
between the centres of border voxels (voxels of the mask with a face neighbour outside it or outside the image).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import cKDTree

from segsrgan_core.errors import UserError
from segsrgan_core.metrics import dice, pair, psnr
from segsrgan_study.boxes import around
from segsrgan_study.shapes.topology import topology

COLUMNS = ["cohort", "subject", "method", "structure", "metric", "value"]


def ssim(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Mean structural similarity over the volume (Wang et al. 2004), from scikit-image.

    Gaussian window of sd 1.5 voxels in three dimensions (11 voxels wide, so no side may be shorter), population
    covariances, and data_range = max(truth) - min(truth). UserError where the shapes differ or the truth is constant.
    """
    from skimage.metrics import structural_similarity

    truth, estimate = pair(truth, estimate, np.float32)
    if (data_range := float(np.ptp(truth))) == 0:
        raise UserError(f"truth: the image is {truth.max():g} everywhere; give one that varies.")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(truth, estimate, data_range=data_range, **options))


def surface_distances_mm(a: np.ndarray, b: np.ndarray, spacing_mm: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of each border voxel of `a` to the nearest of `b`, and the reverse: (n,) and (m,), in mm.

    Both are empty where either mask is.
    """
    a, b = pair(a, b, bool)
    if not (a.any() and b.any()):
        return np.empty(0), np.empty(0)
    box = around(a | b)
    borders = (mask[box] & ~ndimage.binary_erosion(mask[box]) for mask in (a, b))
    points_a, points_b = (np.argwhere(border) * np.asarray(spacing_mm, float) for border in borders)
    return cKDTree(points_b).query(points_a)[0], cKDTree(points_a).query(points_b)[0]


def hd95_mm(there: np.ndarray, back: np.ndarray) -> float:
    """Return the 95 % Hausdorff distance: the larger of the two 95th percentiles of `surface_distances_mm`, or nan."""
    return float(max(np.percentile(there, 95), np.percentile(back, 95))) if there.size else float("nan")


def mean_distance_mm(there: np.ndarray, back: np.ndarray) -> float:
    """Return the mean over both arrays of `surface_distances_mm`, or nan: the symmetric mean surface distance."""
    return float(np.concatenate([there, back]).mean()) if there.size else float("nan")


def volume_error(truth: np.ndarray, estimate: np.ndarray) -> float:
    """Signed relative volume error (|estimate| - |truth|) / |truth|; nan where the truth is empty."""
    truth, estimate = pair(truth, estimate, bool)
    expected = np.count_nonzero(truth)
    return (np.count_nonzero(estimate) - expected) / expected if expected else float("nan")


def image_scores(truth: np.ndarray, estimate: np.ndarray, who: Mapping[str, str]) -> list[dict]:
    """Rows of the long table for one image: psnr and ssim; `who` is {"cohort": ..., "subject": ..., "method": ...}."""
    scores = {"psnr": psnr(truth, estimate), "ssim": ssim(truth, estimate)}
    return [{**who, "structure": "image", "metric": name, "value": value} for name, value in scores.items()]


def label_scores(
    truth_labels: np.ndarray,
    labels: np.ndarray,
    spacing_mm: Sequence[float],
    names: Mapping[int, str],
    who: Mapping[str, str],
) -> list[dict]:
    """Rows of the long table for one label map: every score of every structure in `names`, by label number.

    A structure that is in neither map is left out: it is not in this cohort, and counting it as a perfect overlap would
    flatter the mean.
    """
    voxel_ml, rows = float(np.prod(spacing_mm)) / 1000, []
    for number, structure in names.items():
        truth, estimate = pair(truth_labels == number, labels == number, bool)
        if not (truth.any() or estimate.any()):
            continue
        found = topology(estimate, voxel_ml)
        distances = surface_distances_mm(truth, estimate, spacing_mm)
        scores = {
            "dice": dice(truth, estimate),
            "hd95_mm": hd95_mm(*distances),
            "asd_mm": mean_distance_mm(*distances),
            "volume_ml": np.count_nonzero(estimate) * voxel_ml,
            "volume_true_ml": np.count_nonzero(truth) * voxel_ml,
            "volume_error": volume_error(truth, estimate),
            **found,
            "euler_error": abs(found["euler"] - topology(truth, voxel_ml)["euler"]),
        }
        rows += [{**who, "structure": structure, "metric": name, "value": value} for name, value in scores.items()]
    return rows


def score_table(rows: Sequence[Mapping]) -> pd.DataFrame:
    """The rows as the sorted table of `results/evaluation/per_subject.csv`."""
    return pd.DataFrame(rows, columns=COLUMNS).sort_values(COLUMNS[:-1], ignore_index=True)
