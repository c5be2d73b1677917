"""What header and JSON say of the slices against the training, and outliers among the images of a cohort."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import slice_plane, spacing_mm
from segsrgan_core.imaging.resynthesis import TE_MS
from segsrgan_core.segmenter import ModelCard
from segsrgan_study.files import open_image, stem
from segsrgan_study.own_images.names import InputImage
from segsrgan_study.verdict.borders import NORMAL_MAD

FEWEST_CASES = 5  # for a median and a spread
THICK = 1.5  # slice distance over the voxel size in plane; below it no plane is told
APART = 1.3  # slice thickness over distance, or the reverse; above it slices overlap, or leave gaps
FEWEST_VALUES = 16  # of an image
SAME_MM = 0.02  # of a distance, between a header and the JSON beside it
LIMIT = 3.5  # of |z| (Iglewicz and Hoaglin, 1993)
TOLD = ("SliceThickness", "SpacingBetweenSlices", "EchoTime")  # in the JSON beside an image, in mm and s
TEMPLATES = (3, 4)  # NIfTI's codes of Talairach's and MNI's spaces


def plane_of(image: InputImage) -> str:
    """Return the plane of an image's slices by its header; axial where it cannot be told."""
    try:
        scan = _opened(image.file)
        sizes = np.sort(spacing_mm(scan))
        return slice_plane(scan) if sizes[2] > THICK * sizes[1] else "axial"
    except Exception:  # nibabel raises many kinds; segmenting the image will tell
        return "axial"


def _opened(file: Path) -> Any:
    """Return an image as nibabel has it; voxels are read only where nibabel does not know the ending (`.Nii.gz`)."""
    with suppress(nib.filebasedimages.ImageFileError):
        return nib.load(file)
    return open_image(file)


def told_beside(file: Path) -> list[float | None] | None:
    """Return what the JSON beside an image says of `TOLD`, None for what it does not; None if it cannot be read."""
    sidecar = file.with_name(f"{stem(file)}.json")
    try:
        facts = json.loads(sidecar.read_bytes()) if sidecar.is_file() else {}
        numbers = [float(f"{float(facts.get(name) or 'nan'):.6g}") for name in TOLD]  # as a record keeps them
        return [number if np.isfinite(number) else None for number in numbers]
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def unlike_training(file: Path, card: ModelCard, distance_mm: float) -> list[str]:
    """Return notes where the header of an image, or the JSON beside it, does not fit the training or each other.

    The network takes the distance between the image's slices for their thickness.
    """
    notes, told = [], told_beside(file)
    header = _opened(file).header
    if isinstance(header, nib.Nifti1Header):
        codes = {int(header[name]) for name in ("sform_code", "qform_code")} - {0}
        if codes <= {*TEMPLATES}:
            notes.append("by its header the image lies in the space of a template: volumes are those of that space")
    if told is None:
        return [*notes, "the JSON beside the image cannot be read, or gives slices that are no numbers"]
    thick_mm, between_mm, te_s = (np.nan if value is None else value for value in told)
    low, high = card.thickness_mm
    if thick_mm < low - 0.25 or thick_mm > high + 0.25:
        notes.append(f"the slices are {thick_mm:.3g} mm thick, the network was trained on {low:g} to {high:g} mm")
    elif not np.isnan(thick_mm) and not 1 / APART <= thick_mm / distance_mm <= APART:
        text = f"the slices are {thick_mm:.3g} mm thick and lie {distance_mm:.3g} mm apart"
        notes.append(f"{text}, in training they nearly touch")
    # Some scanners give the gap between slices in place of their distance.
    apart = [abs(mm - distance_mm) for mm in (between_mm, between_mm + thick_mm)]
    if not np.isnan(between_mm) and not np.nanmin(apart) <= SAME_MM * distance_mm:
        notes.append(f"the slices lie {distance_mm:.3g} mm apart by the header, and {between_mm:.3g} mm by its JSON")
    if not np.isnan(te_s) and not TE_MS[0] / 2 <= 1000 * te_s <= 2 * TE_MS[1]:
        notes.append(f"an echo time of {1000 * te_s:.3g} ms is not that of a T2w image")
    return notes


def refuse_labels(image: nib.Nifti1Image, file: Path) -> None:
    """Raise a UserError if an image has so few values that it is a mask or a map of labels."""
    array = np.asarray(image.dataobj)
    sample = array.ravel()[:: max(1, array.size // 100_000)]
    if len(np.unique(sample)) < FEWEST_VALUES and (n := len(np.unique(array))) < FEWEST_VALUES:
        raise UserError(f"{file}: {n} values alone are a mask or labels, no image; give the image that was acquired.")


def outliers(numbers: pd.DataFrame) -> list[str]:
    """Return for each row (case) its columns with |z| > 3.5, such as "snr (z -4.1)"; "" for none.

    z is the distance from the column's median in standard deviations, estimated from the median deviation. A column of
    fewer than five values (nan is none), or with more than half of them equal, has no outliers.
    """
    apart = numbers - numbers.median()
    sd = apart.abs().median() / NORMAL_MAD
    known = (numbers.notna().sum() >= FEWEST_CASES) & (sd > 0)
    z = (apart / sd.where(known)).to_dict("records")
    return ["; ".join(f"{name} (z {value:+.1f})" for name, value in row.items() if abs(value) > LIMIT) for row in z]
