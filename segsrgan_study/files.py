"""Images and tables on disk: validated when read, whole or absent when written."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import atomic, write_text
from segsrgan_core.errors import UserError

SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh", ".img", ".hdr")
LARGEST_VOXELS = 600**3  # more is a broken header, not a head, and may not fit into memory
SMALLEST_VOXEL_MM, LARGEST_VOXEL_MM = 0.05, 20.0
# Of a header that is at fault nibabel makes a guess and says so on stderr; from this grade on it raises instead.
REFUSED_HEADER_FAULTS = 30
nib.imageglobals.logger.setLevel("CRITICAL")


def stem(path: str | Path) -> str:
    """Return a file's name without an image suffix: `a/sub-1_T2w.nii.gz` -> `sub-1_T2w`."""
    name = Path(path).name
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), Path(name).suffix)
    return name[: len(name) - len(suffix)] if suffix else name


def load_image(path: str | Path) -> Nifti1Image:
    """Read a 3-D image.

    Accepted, and read right: any orientation, oblique or left-handed axes, anisotropic voxels, negative intensities,
    integers with a scale factor, big-endian files, a fourth axis of length 1.

    Args:
        path: NIfTI or MGH file.

    Returns:
        float32 (X, Y, Z) with its affine; finite and not constant. No header field but the geometry is kept, so that
        nothing personal travels on.

    Raises:
        UserError: the file is missing, broken, not a 3-D image of finite real numbers, or does not say where in the
            world its voxels are.
    """
    source = _open(path)
    array = _read(source, path)
    bad = int(np.size(array) - np.isfinite(array).sum())
    if bad:
        raise UserError(
            f"{path}: expected finite intensities; received NaN, infinity or more than 32-bit floating point holds in "
            f"{bad} voxels; repair the file."
        )
    if array.min() == array.max():
        raise UserError(
            f"{path}: expected an image; received the one value {array.flat[0]:g} in every voxel; give another file."
        )
    return Nifti1Image(array, _affine(source, path))


def load_labels(path: str | Path) -> Nifti1Image:
    """Read a label map.

    Args:
        path: NIfTI or MGH file; floating point is accepted if every value is a whole number.

    Returns:
        int16 (X, Y, Z) with its affine.

    Raises:
        UserError: as `load_image`, or a value that is not a whole number in 0 ... 32767.
    """
    source = _open(path)
    array = _read(source, path)
    if not np.all(np.isfinite(array)) or array.min() < 0 or array.max() > 32767 or np.any(array != np.round(array)):
        raise UserError(
            f"{path}: expected labels, whole numbers from 0 to 32767; received other values "
            f"(range {np.nanmin(array):g} to {np.nanmax(array):g}); give the label file, not probabilities."
        )
    return Nifti1Image(array.astype(np.int16), _affine(source, path))


def _open(path: str | Path) -> Any:
    path = Path(path)
    if not path.is_file():
        received = "a folder" if path.is_dir() else "nothing there"
        raise UserError(f"{path}: expected an image file; received {received}; correct the path.")
    try:
        if path.name.lower().endswith((".gz", ".mgz")):
            _check_compressed(path)
        with nib.imageglobals.ErrorLevel(REFUSED_HEADER_FAULTS):
            source = nib.load(path)
    except Exception as error:  # nibabel and its decompressors raise many kinds
        raise UserError(
            f"{path}: expected one of {', '.join(SUFFIXES)}; received a file that cannot be read ({_brief(error)}); "
            "copy or convert it again."
        ) from error
    if not isinstance(source, (nib.Nifti1Pair, nib.MGHImage)):
        kind = type(source).__name__
        raise UserError(f"{path}: expected NIfTI or MGH; received {kind}; convert it to NIfTI, with its orientation.")
    shape = tuple(source.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 2:
        raise UserError(
            f"{path}: expected a 3-D image, 2 voxels or more along each axis; received the shape "
            f"{tuple(source.shape)}; give one whole volume a file."
        )
    if np.prod(shape, dtype=float) > LARGEST_VOXELS:
        raise UserError(f"{path}: expected at most {LARGEST_VOXELS:.0e} voxels; received the shape {shape}; crop it.")
    if source.get_data_dtype().kind not in "iuf":
        raise UserError(
            f"{path}: expected real grey values; received the data type {source.get_data_dtype()}; convert it."
        )
    return source


def _check_compressed(path: Path) -> None:
    """Read to the end, where the checksum stands: nibabel stops at the last voxel and would not see a damaged one."""
    left = LARGEST_VOXELS * 8
    with gzip.open(path) as stream:
        while chunk := stream.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise ValueError("it holds more than any head")


def _read(source: Any, path: str | Path) -> np.ndarray:
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes infinite and is refused later
            array = np.asarray(source.dataobj, dtype=np.float32)
    except Exception as error:
        raise UserError(
            f"{path}: expected a whole image; received data that end early or are damaged ({_brief(error)}); "
            "copy or convert it again."
        ) from error
    return array.reshape(source.shape[:3])


def _affine(source: Any, path: str | Path) -> np.ndarray:
    affine = np.asarray(source.affine, float)
    axes = affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.all(np.isfinite(affine)) or np.any(lengths < SMALLEST_VOXEL_MM) or np.any(lengths > LARGEST_VOXEL_MM):
        raise UserError(
            f"{path}: expected an affine with voxels of {SMALLEST_VOXEL_MM:g} to {LARGEST_VOXEL_MM:g} mm; received "
            f"{np.round(lengths, 4)} mm; correct the header, which must be in mm."
        )
    cosines = (axes / lengths).T @ (axes / lengths)
    if np.abs(cosines - np.eye(3)).max() > 0.02:
        raise UserError(
            f"{path}: expected an affine with axes at right angles; received a sheared one; resample the image."
        )
    header = source.header
    if isinstance(header, nib.Nifti1Header):
        if header["sform_code"] == 0 and header["qform_code"] == 0:
            raise UserError(
                f"{path}: expected a header that says how the image lies in the world; received sform and qform codes "
                "of 0; set the right one (for example with nibabel or fslorient)."
            )
        if header["sform_code"] > 0 and header["qform_code"] > 0:
            _check_forms(header, source.shape[:3], lengths, path)
    return affine


def _check_forms(header: nib.Nifti1Header, shape: tuple[int, ...], lengths: np.ndarray, path: str | Path) -> None:
    advice = "set both to the right one (for example with nibabel or fslorient)"
    corners = np.array([[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])])
    try:
        apart = np.abs((header.get_sform() - header.get_qform()) @ corners.T).max()
    except Exception as error:
        raise UserError(
            f"{path}: expected a valid qform; received one that cannot be read ({_brief(error)}); {advice}."
        ) from error
    if not apart <= 0.5 * lengths.min():
        raise UserError(
            f"{path}: expected sform and qform to agree; received two that place the image {apart:.3g} mm apart; "
            f"{advice}."
        )


def _brief(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__


def same_grid(a: Nifti1Image, b: Nifti1Image, tolerance_mm: float = 0.01) -> bool:
    """Tell whether two images have the same shape and place every voxel within `tolerance_mm` of the other's."""
    return a.shape == b.shape and grid_distance_mm(a, b) <= tolerance_mm


def grid_distance_mm(a: Nifti1Image, b: Nifti1Image) -> float:
    """Return the largest distance along a world axis between the corners of two grids of the same shape."""
    corners = np.array([[i, j, k, 1] for i in (0, a.shape[0]) for j in (0, a.shape[1]) for k in (0, a.shape[2])])
    return float(np.abs((a.affine - b.affine) @ corners.T).max())


def save_image(image: Nifti1Image, path: str | Path) -> Path:
    """Write an image as NIfTI (`.nii` or `.nii.gz`), atomically, with a header that holds the geometry alone."""
    array = np.asarray(image.dataobj)
    clean = Nifti1Image(array, image.affine)
    clean.header.set_data_dtype(array.dtype)
    clean.header.set_xyzt_units("mm")
    clean.set_qform(image.affine, code=1)
    clean.set_sform(image.affine, code=1)
    return atomic(path, lambda part: nib.save(clean, part))


def write_csv(path: str | Path, frame: pd.DataFrame, sep: str = ",") -> Path:
    """Write a table without its index, numbers to 6 significant digits, atomically."""
    return write_text(path, frame.to_csv(index=False, sep=sep, float_format="%.6g", lineterminator="\n"))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 digest of a file, 64 hexadecimal digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
