"""Slices outside the training, and outliers among the images of a cohort."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from segsrgan_core.imaging.geometry import slice_plane, spacing_mm
from segsrgan_core.segmenter import ModelCard
from segsrgan_study.files import stem
from segsrgan_study.own_images.names import InputImage
from segsrgan_study.verdict.measures import NORMAL_MAD

FEWEST_CASES = 5  # for a median and a spread
THICK = 1.5  # slice distance over the voxel size in plane; below it no plane is told
APART = 1.3  # slice thickness over distance, or the reverse; above it slices overlap, or leave gaps
LIMIT = 3.5  # of |z| (Iglewicz and Hoaglin, 1993)


def plane_of(image: InputImage) -> str:
    """Return the plane of an image's slices by its header; axial where it cannot be told."""
    try:
        scan = nib.load(image.file)
        sizes = np.sort(spacing_mm(scan))
        return slice_plane(scan) if sizes[2] > THICK * sizes[1] else "axial"
    except Exception:  # nibabel raises many kinds; segmenting the image will tell
        return "axial"


def thick_slices(file: Path, card: ModelCard, distance_mm: float) -> list[str]:
    """Return a note where the JSON beside an image gives a slice thickness that the network was not trained on.

    The network takes the distance between the image's slices for their thickness.
    """
    sidecar = file.with_name(f"{stem(file)}.json")
    try:
        mm = float(json.loads(sidecar.read_text(encoding="utf-8"))["SliceThickness"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    low, high = card.thickness_mm
    if not low - 0.25 <= mm <= high + 0.25:
        return [f"the slices are {mm:.3g} mm thick, the network was trained on {low:g} to {high:g} mm"]
    if not 1 / APART <= mm / distance_mm <= APART:
        return [f"the slices are {mm:.3g} mm thick and lie {distance_mm:.3g} mm apart, in training they nearly touch"]
    return []


def outliers(numbers: pd.DataFrame) -> list[str]:
    """Find numbers that lie far from the others of their column, in a row per case; nan where a case has none.

    Returns:
        For each row its columns with |z| > 3.5, such as "snr (z -4.1)"; "" for none. z is the distance from the median
        in standard deviations, estimated from the median deviation. A column of fewer than five values, or with more
        than half of them equal, has no outliers.
    """
    apart = numbers - numbers.median()
    sd = apart.abs().median() / NORMAL_MAD
    known = (numbers.notna().sum() >= FEWEST_CASES) & (sd > 0)
    z = (apart / sd.where(known)).to_dict("records")
    return ["; ".join(f"{name} (z {value:+.1f})" for name, value in row.items() if abs(value) > LIMIT) for row in z]
