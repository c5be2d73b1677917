"""Images and tables on disk: checked when read, complete or absent when written."""

import gzip
import hashlib
import io
import itertools
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import atomic, write_text
from segsrgan_core.errors import UserError

PAIRS = (".img", ".hdr")
SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh", *PAIRS)
ALIASES = {"participant_id": "subject", "session_id": "session", "sub": "subject", "ses": "session"}  # of columns
ALIASES |= {"scan_age": "age_weeks"}  # as dHCP calls it; BIDS's age is in years
LARGEST_VOXELS = 600**3  # more is a broken header, not a head, and may not fit into memory
SMALLEST_VOXEL_MM, LARGEST_VOXEL_MM = 0.05, 20.0
UNITS = {1: "metres", 3: "micrometres"}  # of NIfTI's xyzt_units, other than mm
NEARLY_WHOLE = 1e-3
SMALLEST, LARGEST = 1e-20, 1e20  # of what is computed with an image's largest value, 32-bit floats hold all
# nibabel guesses at a broken header and logs it; from this level on it raises instead.
REFUSED_HEADER_FAULTS = 30
nib.imageglobals.logger.setLevel("CRITICAL")


def stem(path: str | Path) -> str:
    """Return a file's name without an image suffix: `a/sub-1_T2w.nii.gz` -> `sub-1_T2w`."""
    name = Path(path).name
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), Path(name).suffix)
    return name[: len(name) - len(suffix)]


def visible_files(path: Path) -> tuple[list[Path], list[Path]]:
    """Return a folder's visible files, those below it too, links followed once, and the folders that cannot be read."""
    found, seen, errors = [], set(), []
    for place, folders, files in os.walk(path, onerror=errors.append, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and real not in seen)
        if real not in seen:
            found += [Path(place, name) for name in sorted(files) if not name.startswith(".")]
        seen.add(real)
    return found, [Path(error.filename) for error in errors]


def load_image(path: str | Path, data: bytes | None = None) -> Nifti1Image:
    """Read a 3-D image, float32 (X, Y, Z), from a NIfTI or MGH file in any orientation, spacing and number format.

    Of the header only the geometry is kept, so that no personal data are passed on; a fourth axis of length 1 is
    dropped. `data` is the content of the file, where it has been read before. A UserError tells that the file is
    missing, broken, not a 3-D image of finite real numbers that differ, or has no valid geometry.
    """
    array, affine = _read(Path(path), data)
    if bad := np.count_nonzero(~np.isfinite(array)):
        raise UserError(f"{path}: NaN, infinity or values beyond 32-bit floats in {bad} voxels; repair the file.")
    if array.min() == array.max():
        raise UserError(f"{path}: the one value {array.flat[0]:g} in every voxel is no image; give another file.")
    if not SMALLEST < (largest := max(array.max(), -array.min())) < LARGEST:
        raise UserError(f"{path}: values up to {largest:.3g}, outside {SMALLEST:g} to {LARGEST:g}; scale the image.")
    return Nifti1Image(array, affine)


def load_labels(path: str | Path, data: bytes | None = None) -> Nifti1Image:
    """Read a label map, int16 (X, Y, Z), as `load_image` does; values that are no whole number from 0 are a UserError.

    Values within 0.001 of whole numbers are taken as those (a slope in the header).
    """
    array, affine = _read(Path(path), data)
    whole = np.round(array)
    if not np.all(np.abs(array - whole) < NEARLY_WHOLE) or whole.min() < 0 or whole.max() > 32767:
        found = f"whole numbers from 0 to 32767 (range {np.nanmin(array):g} to {np.nanmax(array):g})"
        raise UserError(f"{path}: labels must be {found}; give labels, not probabilities.")
    return Nifti1Image(whole.astype(np.int16), affine)


def _read(path: Path, data: bytes | None) -> tuple[np.ndarray, np.ndarray]:
    """Return an image's values, float32 (X, Y, Z), and its affine."""
    if not path.is_file():
        raise UserError(f"{path}: {'a folder' if path.is_dir() else 'nothing there'}, no image; correct the path.")
    fault, again = f"cannot be read as {', '.join(SUFFIXES)}", "copy or convert it again"
    with _refused(path, fault, again), nib.imageglobals.ErrorLevel(REFUSED_HEADER_FAULTS):
        source = open_image(path, data)
    if not isinstance(source, (nib.Nifti1Pair, nib.MGHImage)):
        raise UserError(f"{path}: {type(source).__name__} is not supported; convert it to NIfTI, with its orientation.")
    shape = tuple(map(int, source.shape))
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 2:
        found = f"not a 3-D image with 2 voxels or more along each axis but of shape {shape}"
        raise UserError(f"{path}: {found}; give one whole volume per file.")
    if np.prod(shape, dtype=float) > LARGEST_VOXELS:
        raise UserError(f"{path}: shape {shape} exceeds the limit of at most {LARGEST_VOXELS:.0e} voxels; crop it.")
    if source.get_data_dtype().kind not in "iuf":
        raise UserError(f"{path}: data type {source.get_data_dtype()}, not real grey values; convert it.")
    # A value that does not fit becomes infinite and is refused later.
    with _refused(path, "the data end early or are damaged", again), np.errstate(over="ignore", invalid="ignore"):
        array = np.asarray(source.dataobj, dtype=np.float32).reshape(shape)
    affine = np.asarray(source.affine, float)
    _check_geometry(affine, source.header, shape, path)
    return array, affine


@contextmanager
def _refused(path: Path, fault: str, advice: str) -> Iterator[None]:
    """Tell of any exception as a fault of the file: nibabel and gzip raise many kinds."""
    try:
        yield
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path}: {fault} ({reason}); {advice}.") from error


def open_image(path: Path, data: bytes | None = None) -> Any:
    """Return an image as nibabel has it, unchecked, from a file or the bytes of one; the ending in any case.

    Of a compressed file the checksum at the end is verified.
    """
    if path.suffix.lower() in PAIRS:
        image = nib.load(path)
        return _checked(image, Path(image.file_map["image"].filename).stat().st_size, 0)
    limit, name = LARGEST_VOXELS * 8, path.name.lower()
    if data is None and path.stat().st_size <= limit:
        data = path.read_bytes()
    if data is not None and name.endswith((".gz", ".mgz")):
        data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(limit + 1)
    if data is None or len(data) > limit:
        raise ValueError("it holds more than any head")
    if name.endswith((".mgh", ".mgz")):
        if data[28:30] == b"\0\0":  # nibabel would take voxels of 1 mm
            raise ValueError("its goodRASFlag is 0, so that voxel sizes and place are unknown")
        return nib.MGHImage.from_bytes(data)
    second = nib.Nifti2Header.may_contain_header(data[: nib.Nifti2Header.sizeof_hdr])
    image = (nib.Nifti2Image if second else Nifti1Image).from_bytes(data)
    return _checked(image, len(data), image.header.sizeof_hdr)


def _checked(image: Any, file_bytes: int, header_bytes: int) -> Any:
    """Return an image whose file holds its data alone, less than a slice more, behind the header; else a ValueError."""
    proxy = image.dataobj
    slice_bytes = proxy.dtype.itemsize * math.prod(map(int, proxy.shape[:2]))
    rest = file_bytes - proxy.offset - slice_bytes * math.prod(map(int, proxy.shape[2:]))
    if 0 < slice_bytes <= rest or 0 <= proxy.offset < header_bytes:
        raise ValueError(f"its data begin at byte {proxy.offset}, and {rest} bytes more are there than its header says")
    return image


def _check_geometry(affine: np.ndarray, header: Any, shape: tuple[int, ...], path: Path) -> None:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.all(np.isfinite(affine)) or np.any(lengths < SMALLEST_VOXEL_MM) or np.any(lengths > LARGEST_VOXEL_MM):
        found = f"voxels of {np.round(lengths, 4)} mm, outside {SMALLEST_VOXEL_MM:g} to {LARGEST_VOXEL_MM:g} mm"
        raise UserError(f"{path}: {found}; correct the affine in the header, which must be in mm.")
    directions = affine[:3, :3] / lengths
    if np.abs(directions.T @ directions - np.eye(3)).max() > 0.02:
        raise UserError(f"{path}: the affine's axes are not at right angles; resample the image.")
    if not isinstance(header, nib.Nifti1Header):
        return
    if (unit := int(header["xyzt_units"]) % 8) in UNITS:
        raise UserError(f"{path}: voxels of {np.round(lengths, 4)} are in {UNITS[unit]} by the header; set it to mm.")
    advice = "set sform and qform to the right one (for example with nibabel or fslorient)"
    codes = int(header["sform_code"]), int(header["qform_code"])
    if not any(codes):
        raise UserError(f"{path}: sform and qform codes of 0, so that the image's place is unknown; {advice}.")
    if all(codes):
        with _refused(path, "the header has no valid qform", advice):
            apart = _farthest_mm(header.get_sform() - header.get_qform(), shape)
        if not apart <= 0.5 * lengths.min():
            raise UserError(f"{path}: sform and qform place the image {apart:.3g} mm apart; {advice}.")
    elif np.any(np.abs(header["pixdim"][1:4] - lengths) > 0.01 * lengths):
        told = f"voxels of {np.round(lengths, 4)} mm, and by pixdim of {np.round(header['pixdim'][1:4], 4)} mm"
        raise UserError(f"{path}: by the sform it has {told}; {advice}.")


def same_grid(a: Nifti1Image, b: Nifti1Image, tolerance_mm: float = 0.01) -> bool:
    """Tell whether two images have the same shape and place every voxel within `tolerance_mm` of the other's."""
    return a.shape == b.shape and grid_distance_mm(a, b) <= tolerance_mm


def grid_distance_mm(a: Nifti1Image, b: Nifti1Image) -> float:
    """Return the largest distance along a world axis between the corners of two grids of the same shape."""
    return _farthest_mm(a.affine - b.affine, a.shape)


def _farthest_mm(difference: np.ndarray, shape: tuple[int, ...]) -> float:
    corners = np.array([*itertools.product(*((0, size) for size in shape), (1,))])
    return float(np.abs(difference @ corners.T).max())


def save_image(image: Nifti1Image, path: str | Path, bits: int | None = None) -> Path:
    """Write an image as NIfTI (`.nii` or `.nii.gz`), atomically, with a header that holds the geometry alone.

    With `bits`, at most 14, it is written `in_steps`.
    """
    array = np.asarray(image.dataobj)
    array, step = in_steps(array, bits) if bits else (array, 1.0)
    clean = Nifti1Image(array, image.affine)
    clean.header.set_slope_inter(step, 0)
    clean.header.set_xyzt_units("mm")
    clean.set_qform(image.affine, code=1)
    clean.set_sform(image.affine, code=1)
    return atomic(path, lambda part: nib.save(clean, part))


def in_steps(array: np.ndarray, bits: int) -> tuple[np.ndarray, float]:
    """Return an array in whole numbers, int16, of a step: the power of 2 that divides its range in 2^bits."""
    step = float(2.0 ** (np.ceil(np.log2(max(array.max(), -array.min(), 1e-30))) - bits))
    planes = (np.round(plane / np.float32(step)).astype(np.int16) for plane in array)  # one at a time saves memory
    return np.stack([*planes]), step


def write_csv(path: str | Path, frame: pd.DataFrame, sep: str = ",") -> Path:
    """Write a table without its index, numbers to 6 significant digits, atomically."""
    return write_text(path, frame.to_csv(index=False, sep=sep, float_format="%.6g", lineterminator="\n"))


def sha256(path: str | Path) -> str:
    """Return the SHA-256 digest of a file, 64 hexadecimal digits."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
