"""Images and tables on disk: validated when read, whole or absent when written."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError

SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh", ".img", ".hdr")
LARGEST_VOXELS = 10**9  # 1000^3: larger is a broken header, not a head


def stem(path: str | Path) -> str:
    """Return a file's name without an image suffix: `a/sub-1_T2w.nii.gz` -> `sub-1_T2w`."""
    name = Path(path).name
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), Path(name).suffix)
    return name[: len(name) - len(suffix)] if suffix else name


def load_image(path: str | Path) -> Nifti1Image:
    """Read a 3-D image.

    Args:
        path: NIfTI or MGH file.

    Returns:
        float32 (X, Y, Z) with its affine; finite and not constant. No header field but the geometry is kept, so that
        nothing personal travels on.

    Raises:
        UserError: the file is missing, broken, not a 3-D image of finite real numbers, or its affine is not usable.
    """
    source = _open(path)
    array = _read(source, path)
    if not np.all(np.isfinite(array)):
        bad = int(np.size(array) - np.isfinite(array).sum())
        raise UserError(f"{path}: expected finite intensities; received {bad} NaN or infinite voxels; repair the file.")
    if array.min() == array.max():
        raise UserError(f"{path}: expected an image; received the one value {array.flat[0]:g} in every voxel.")
    return Nifti1Image(array, _affine(source, path))


def load_labels(path: str | Path) -> Nifti1Image:
    """Read a label map.

    Args:
        path: NIfTI or MGH file.

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
        raise UserError(f"{path}: expected an image file; received {'a folder' if path.is_dir() else 'nothing there'}.")
    try:
        source = nib.load(path)
    except Exception as error:  # nibabel and its decompressors raise many kinds
        raise UserError(
            f"{path}: expected one of {', '.join(SUFFIXES)}; it could not be read ({_brief(error)})."
        ) from error
    shape = tuple(source.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or 0 in shape:
        raise UserError(
            f"{path}: expected a 3-D image; received the shape {tuple(source.shape)}; give one volume a file."
        )
    if np.prod(shape, dtype=float) > LARGEST_VOXELS:
        raise UserError(f"{path}: expected at most {LARGEST_VOXELS:.0e} voxels; received the shape {shape}.")
    if source.get_data_dtype().kind not in "iuf":
        raise UserError(f"{path}: expected real grey values; received the data type {source.get_data_dtype()}.")
    return source


def _read(source: Any, path: str | Path) -> np.ndarray:
    try:
        array = np.asarray(source.dataobj, dtype=np.float32)
    except Exception as error:
        raise UserError(
            f"{path}: expected a whole image; its data end early or are damaged ({_brief(error)})."
        ) from error
    return array.reshape(source.shape[:3])


def _affine(source: Any, path: str | Path) -> np.ndarray:
    affine = np.asarray(source.affine, float)
    axes = affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not np.all(np.isfinite(affine)) or np.any(lengths < 1e-3) or np.any(lengths > 100):
        raise UserError(f"{path}: expected a usable affine; received voxel sizes {np.round(lengths, 4)} mm.")
    cosines = (axes / lengths).T @ (axes / lengths)
    if np.abs(cosines - np.eye(3)).max() > 0.02:
        raise UserError(
            f"{path}: expected an affine with axes at right angles; received a sheared one; resample the image."
        )
    header = source.header
    if isinstance(header, nib.Nifti1Header) and header["sform_code"] > 0 and header["qform_code"] > 0:
        _check_forms(header, source.shape[:3], lengths, path)
    return affine


def _check_forms(header: nib.Nifti1Header, shape: tuple[int, ...], lengths: np.ndarray, path: str | Path) -> None:
    try:
        difference = header.get_sform() - header.get_qform()
    except Exception as error:
        raise UserError(f"{path}: expected a valid qform; it could not be read ({_brief(error)}).") from error
    corners = np.array([[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])])
    apart = np.abs(difference @ corners.T).max()
    if not apart <= 0.5 * lengths.min():
        raise UserError(
            f"{path}: expected sform and qform to agree; they place the image {apart:.3g} mm apart; "
            "set both to the right one (for example with nibabel or fslorient)."
        )


def _brief(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__


def same_grid(a: Nifti1Image, b: Nifti1Image, tolerance_mm: float = 0.01) -> bool:
    """Tell whether two images have the same shape and place every voxel within `tolerance_mm` of the other's."""
    if a.shape != b.shape:
        return False
    corners = np.array([[i, j, k, 1] for i in (0, a.shape[0]) for j in (0, a.shape[1]) for k in (0, a.shape[2])])
    return bool(np.abs((a.affine - b.affine) @ corners.T).max() <= tolerance_mm)


def atomic(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Write a file so that it is either whole or not there.

    Args:
        path: where the file shall stand; folders are made.
        write: writes the file at the path it is given (same folder, same suffix).

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as folder:
        part = Path(folder) / path.name
        write(part)
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(part, path)
    return path


def save_image(image: Nifti1Image, path: str | Path) -> Path:
    """Write an image as NIfTI (`.nii` or `.nii.gz`), atomically, with a header that holds the geometry alone."""
    array = np.asarray(image.dataobj)
    clean = Nifti1Image(array, image.affine)
    clean.header.set_data_dtype(array.dtype)
    clean.header.set_xyzt_units("mm")
    clean.set_qform(image.affine, code=1)
    clean.set_sform(image.affine, code=1)
    return atomic(path, lambda part: nib.save(clean, part))


def write_text(path: str | Path, text: str) -> Path:
    """Write a UTF-8 text file, atomically."""
    return atomic(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path: str | Path, content: Any) -> Path:
    """Write JSON with sorted keys and numbers rounded to 6 significant digits, atomically."""
    return write_text(path, json.dumps(_rounded(content), indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_csv(path: str | Path, frame: pd.DataFrame, sep: str = ",") -> Path:
    """Write a table without its index, numbers to 6 significant digits, atomically."""
    return write_text(path, frame.to_csv(index=False, sep=sep, float_format="%.6g", lineterminator="\n"))


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _rounded(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_rounded(value) for value in content]
    if isinstance(content, (float, np.floating)):
        return float(f"{content:.6g}") if np.isfinite(content) else None
    return content.item() if isinstance(content, np.generic) else content


def sha256(path: str | Path) -> str:
    """Return the SHA-256 digest of a file, 64 hexadecimal digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
