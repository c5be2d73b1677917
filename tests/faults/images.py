"""Faulty images. Each maker gets the path that it shall write to and returns the path that is given to the command."""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image

from tests.faults.fault import Fault

SHAPE = (32, 36, 12)
SPACING_MM = (1.0, 1.0, 3.0)


def head(shape=SHAPE) -> np.ndarray:
    """A bright ellipsoid with some structure on a dark ground, float32."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"), -1)
    radius = np.linalg.norm(grid, axis=-1)
    return np.where(radius < 0.8, 600 + 300 * np.cos(9 * radius), 20 * radius).astype(np.float32)


def tissues(shape=SHAPE) -> np.ndarray:
    """Labels of the head: 2 the cortex, 3 the white matter."""
    light = head(shape)
    return np.where(light > 700, 3, np.where(light > 300, 2, 0)).astype(np.int16)


def image(data=None, affine=None) -> Nifti1Image:
    made = Nifti1Image(head() if data is None else data, np.diag([*SPACING_MM, 1]) if affine is None else affine)
    made.set_sform(made.affine, 1)
    made.set_qform(made.affine, 1)
    return made


def _saved(path: Path, data=None, affine=None) -> None:
    nib.save(image(data, affine), path)


def _with_voxel(path: Path, value: float, dtype: type = np.float32) -> None:
    data = head().astype(dtype)
    data[16, 18, 6] = value
    _saved(path, data)


def _with_header(path: Path, layout: str, offset: int, *values: object) -> None:
    """Write an image with bytes of its header overwritten (offsets as in nifti1.h)."""
    content = bytearray(image().to_bytes())
    struct.pack_into("<" + layout, content, offset, *values)
    path.write_bytes(content)


def _cut(path: Path, length: int | float) -> None:
    """Write the first bytes of an image: a number, a share, or all but a number."""
    whole = image().to_bytes()
    whole = gzip.compress(whole) if path.suffix == ".gz" else whole
    path.write_bytes(whole[: int(length * len(whole)) if isinstance(length, float) else length])


def _with_flipped_bit(path: Path) -> None:
    """Damage one voxel inside a gzip stream that can still be decompressed."""
    content = bytearray(gzip.compress(image().to_bytes(), compresslevel=0))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _affine(*columns: tuple[float, float, float]) -> np.ndarray:
    return nib.affines.from_matvec(np.array(columns, float).T)


def _with_forms(path: Path, sform: np.ndarray, qform: np.ndarray | None, codes: tuple[int, int]) -> None:
    made = Nifti1Image(head(), None)
    made.set_sform(sform, codes[0])
    made.set_qform(qform, codes[1])
    nib.save(made, path)


def _with_sform(path: Path, sform: np.ndarray) -> None:
    _with_forms(path, sform, None, (1, 0))


def _analyze(path: Path) -> None:
    nib.save(nib.AnalyzeImage(head(), np.diag([*SPACING_MM, 1])), path)


def _header_alone(path: Path) -> None:
    nib.save(nib.Nifti1Pair(head(), np.diag([*SPACING_MM, 1])), path)
    path.with_suffix(".img").unlink()


def _rgb(path: Path) -> None:
    _saved(path, np.zeros((32, 36, 12), [("R", "u1"), ("G", "u1"), ("B", "u1")]))


def _mgz_cut(path: Path) -> None:
    nib.save(nib.MGHImage(head(), np.diag([*SPACING_MM, 1])), path)
    path.write_bytes(path.read_bytes()[:-3000])


def _fault(name: str, says: str, make: Callable[..., object], *arguments: object) -> Fault:
    """Return a case; the file is `.nii` unless the name has a suffix."""
    known = name.endswith((".nii", ".nii.gz", ".mgz", ".img", ".hdr"))
    return Fault(name if known else f"{name}.nii", lambda path: make(path, *arguments), says)


_GRID = np.diag([*SPACING_MM, 1.0])
_SPREAD = np.full((32, 36, 12), 5, np.float32)
_SPREAD[0, 0, 0] = 1e9

IMAGES = [
    _fault("missing", "nothing there", lambda path: None),
    _fault("a_folder", "nor a DICOM series", Path.mkdir),
    _fault("empty", "cannot be read", Path.touch),
    _fault("text", "cannot be read", Path.write_text, "not an image"),
    _fault("text_compressed.nii.gz", "cannot be read", Path.write_bytes, gzip.compress(b"not an image")),
    _fault("text_called_compressed.nii.gz", "cannot be read", Path.write_text, "not an image"),
    _fault("compressed_called_plain", "cannot be read", Path.write_bytes, gzip.compress(image().to_bytes())),
    *(_fault(f"cut_at_{n}", "cannot be read", _cut, n) for n in (1, 40, 347)),
    *(_fault(f"cut_at_{n}", "end early", _cut, n) for n in (348, 351, 352, 353, 1000)),
    _fault("cut_at_a_half", "end early", _cut, 0.5),
    _fault("cut_by_a_byte", "end early", _cut, -1),
    *(_fault(f"cut_at_{share}.nii.gz", "cannot be read", _cut, share) for share in (0.01, 0.3, 0.7, 0.99)),
    _fault("cut_in_the_checksum.nii.gz", "cannot be read", _cut, -4),
    _fault("cut_before_the_checksum.nii.gz", "cannot be read", _cut, -8),
    _fault("a_bit_flipped.nii.gz", "CRC check failed", _with_flipped_bit),
    _fault("junk_behind.nii.gz", "cannot be read", Path.write_bytes, gzip.compress(image().to_bytes()) + b"junk"),
    _fault("cut.mgz", "cannot be read", _mgz_cut),
    _fault("header_alone.hdr", "nothing|end early|cannot be read", _header_alone),
    _fault("wrong_magic", "cannot be read", _with_header, "4s", 344, b"abcd"),
    _fault("wrong_header_size", "sizeof_hdr", _with_header, "i", 0, 123),
    _fault("unknown_data_type", "data code 77", _with_header, "h", 70, 77),
    _fault("data_far_behind_the_end", "end early", _with_header, "f", 108, 1e9),
    _fault("data_at_nan", "NaN|nan", _with_header, "f", 108, np.nan),
    _fault("negative_size", "3-D", _with_header, "h", 42, -5),
    _fault("zero_size", "3-D", _with_header, "h", 42, 0),
    _fault("size_of_a_petabyte", "at most", _with_header, "3h", 42, 32767, 32767, 32767),
    _fault("size_of_8_dimensions", "cannot be read|3-D", _with_header, "h", 40, 8),
    _fault("two_dimensions", "3-D", _saved, head()[:, :, 6]),
    _fault("four_dimensions", "3-D", _saved, np.stack([head(), head()], -1)),
    _fault("one_slice", "2 voxels or more", _saved, head()[:, :, :1]),
    _fault("all_zero", "the one value 0", _saved, np.zeros((32, 36, 12), np.int16)),
    _fault("constant", "the one value 7", _saved, np.full((32, 36, 12), 7, np.float32)),
    _fault("a_nan", "in 1 voxels", _with_voxel, np.nan),
    _fault("infinity", "in 1 voxels", _with_voxel, -np.inf),
    _fault("beyond_float32", "in 1 voxels", _with_voxel, 1e300, np.float64),
    _fault("all_negative", "not above 0", _saved, head() - 2000),
    _fault("one_voxel_outshines_all", "brighter than the mean", _saved, _SPREAD),
    _fault("one_voxel_near_the_largest", "brighter than the mean", _with_voxel, 3e38),
    _fault("rgb", "real grey values", _rgb),
    _fault("complex", "complex64", _saved, head().astype(np.complex64)),
    _fault("no_affine", "codes of 0", _with_forms, np.eye(4), np.eye(4), (0, 0)),
    _fault("analyze.img", "with its orientation", _analyze),
    _fault("affine_with_a_zero_axis", r"0\.\]", _with_sform, _affine((1, 0, 0), (0, 1, 0), (0, 0, 0))),
    _fault("affine_of_a_plane", "right angles", _with_sform, _affine((1, 0, 0), (0, 1, 0), (0, 3, 0))),
    _fault("affine_sheared", "right angles", _with_sform, _affine((1, 0, 0), (0.5, 1, 0), (0, 0, 3))),
    _fault("affine_with_nan", "nan", _with_header, "f", 300, np.nan),
    _fault("affine_in_metres", "0.001", _with_sform, np.diag([0.001, 0.001, 0.003, 1])),
    _fault("affine_in_micrometres", "3000", _with_sform, np.diag([1000, 1000, 3000, 1])),
    _fault("forms_disagree", "20 mm apart", _with_forms, _GRID, _GRID + 20 * np.eye(4, k=3), (1, 1)),
    _fault("no_quaternion", "valid qform", _with_header, "3f", 256, 3, 3, 3),
    _fault("voxel_size_zero", "pixdim", _with_header, "3f", 80, 0, 0, 0),
    _fault("voxels_of_0.1_mm_all_over", "field of view", _saved, None, np.diag([0.1, 0.1, 0.3, 1])),
    _fault("voxels_of_20_mm_all_over", "field of view", _saved, None, np.diag([20, 20, 20, 1])),
]
