"""Image quality measures, and outliers among the images of a cohort."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.classes import NUMBERS
from segsrgan_core.imaging.geometry import through_plane_axis, voxel_volume_ml
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.segmenter import ModelCard, Segmentation
from segsrgan_study.files import stem

FEWEST_CASES = 5  # for a median and a spread
LIMIT = 3.5  # of |z| (Iglewicz and Hoaglin, 1993)
NORMAL_MAD = 0.67449  # median absolute deviation of a unit Gaussian; scipy.stats takes 0.25 s to import
SHELL_VOXELS = 2
DARK = 0.05  # of the intensity scale: air
DARK_SHARE = 0.02
CUT_CM2 = 2.0  # of brain in a face of the field of view; the spinal cord has less
SKULL_ML = (20.0, 900.0)  # intracranial volume; limits that are wide on purpose


def quality(image: Nifti1Image, result: Segmentation) -> dict[str, float]:
    """Return the signal-to-noise ratio of an image and the contrast at the edge of what was segmented.

    Args:
        image: as it was given, thick slices.
        result: of its segmentation.

    Returns:
        snr: median intensity of the head over the noise's standard deviation (nan without any noise).
        contrast: of the cortex (else the first class) and a shell of two voxels around it, (shell - class) / (shell +
            class), from medians of the interpolated image; nan where nothing was segmented.
    """
    array = np.asarray(image.dataobj)
    head = array > 0.1 * intensity_scale(array)
    sd = noise_sd(array, head, through_plane_axis(image))
    name = "cortex" if "cortex" in result.probabilities else next(iter(result.probabilities))
    found, contrast = np.asarray(result.labels.dataobj) == NUMBERS[name], float("nan")
    shell = ndimage.binary_dilation(found, iterations=SHELL_VOXELS) & ~found
    if found.any() and shell.any():
        inner, outer = (float(np.median(np.asarray(result.interpolated.dataobj)[mask])) for mask in (found, shell))
        contrast = (outer - inner) / (outer + inner) if outer + inner else contrast
    return {"snr": float(np.median(array[head])) / sd if sd else float("nan"), "contrast": contrast}


def noise_sd(array: np.ndarray, inside: np.ndarray, slice_axis: int) -> float:
    """Estimate the standard deviation of the noise within slices by a Laplacian and the median absolute value.

    Args:
        array: float32 (X, Y, Z).
        inside: bool (X, Y, Z), voxels to measure in.
        slice_axis: slices are stacked along it.

    Source: Immerkaer, Computer Vision and Image Understanding 64, 1996; with the median in place of the mean.
    """
    residual = array
    for axis in {0, 1, 2} - {slice_axis}:
        residual = ndimage.convolve1d(residual, [1.0, -2.0, 1.0], axis=axis, mode="nearest")
    return float(np.median(np.abs(residual[inside]))) / (6 * NORMAL_MAD)  # 6: norm of the kernel


def doubts(image: Nifti1Image, result: Segmentation) -> list[str]:
    """Return notes on a doubtful image and its result, a sentence each (docs/results.md)."""
    notes = [f"no {name.replace('_', ' ')} was found" for name in result.probabilities if not result.volumes_ml[name]]
    interpolated, found = np.asarray(result.interpolated.dataobj), np.asarray(result.labels.dataobj) > 0
    dark = (interpolated < DARK * intensity_scale(interpolated)) & found
    share = dark.sum() / max(1, found.sum())
    if share > DARK_SHARE:
        notes.append(f"{100 * share:.0f} % of what was segmented lies in the dark background: do not use its volumes")
    if (lowest := float(np.min(image.dataobj))) < -DARK * intensity_scale(np.asarray(image.dataobj)):
        notes.append(f"there are negative intensities (down to {lowest:.3g}), which no scanner makes")
    inside = found if result.sides is None else np.asarray(result.sides.dataobj) > 0
    faces = [inside.take(place, axis).sum() for axis in range(3) for place in (0, -1)]
    if max(faces) * voxel_volume_ml(result.labels) ** (2 / 3) > CUT_CM2:
        notes.append("the brain reaches the edge of the field of view: its volumes are too small")
    volume = result.volumes_ml.get("intracranial")
    if volume and not SKULL_ML[0] < volume < SKULL_ML[1]:
        notes.append(f"an intracranial volume of {volume:.0f} mL is none of a fetus or newborn: do not use its volumes")
    return notes


def thick_slices(file: Path, card: ModelCard) -> list[str]:
    """Return a note where the JSON beside an image gives a slice thickness that the network was not trained on."""
    sidecar = file.with_name(f"{stem(file)}.json")
    try:
        mm = float(json.loads(sidecar.read_text(encoding="utf-8"))["SliceThickness"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    low, high = card.thickness_mm
    note = f"the slices are {mm:.3g} mm thick, the network was trained on {low:g} to {high:g} mm"
    return [] if low - 0.25 <= mm <= high + 0.25 else [note]


def outliers(numbers: pd.DataFrame) -> list[str]:
    """Find numbers that lie far from the others of their column.

    Args:
        numbers: a row per case; nan where a case has none.

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
