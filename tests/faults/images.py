"""Faulty images. Each maker gets the path that it shall write to."""

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image

from tests.faults.fault import fault

SHAPE = (32, 36, 12)
GRID = np.diag([1.0, 1.0, 3.0, 1.0])


def head() -> np.ndarray:
    """A bright ellipsoid with some structure on a dark ground, float32."""
    radius = np.linalg.norm(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"), axis=0)
    return np.where(radius < 0.8, 600 + 300 * np.cos(9 * radius), 20 * radius).astype(np.float32)


def tissues() -> np.ndarray:
    """Labels of the head: 2 the cortex, 3 the white matter."""
    return np.array([0, 2, 3], np.int16)[np.digitize(head(), [300, 700])]


def image(data=None, affine=GRID) -> Nifti1Image:
    made = Nifti1Image(head() if data is None else data, affine)
    made.set_sform(affine, 1)
    made.set_qform(affine, 1)
    return made


def saved(path: Path, data=None, affine=GRID) -> None:
    nib.save(image(data, affine), path)


def with_voxel(path: Path, value: float, data: np.ndarray) -> None:
    data = data.copy()
    data[16, 18, 6] = value
    saved(path, data)


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


def _of_kind(path: Path, kind: type) -> None:
    nib.save(kind(head(), GRID), path)


def _longer_pair(path: Path) -> None:
    _of_kind(path, nib.Nifti1Pair)
    path.write_bytes(path.read_bytes() * 2)


def _header_alone(path: Path) -> None:
    _of_kind(path, nib.Nifti1Pair)
    path.with_suffix(".img").unlink()


_MGH = nib.MGHImage(head(), GRID).to_bytes()
_SPREAD = head()
_SPREAD[0, 0, 0] = 1e9

IMAGES = [
    fault("missing.nii", "nothing there", lambda path: None),
    fault("a_folder.nii", "nor a DICOM series", Path.mkdir),
    fault("empty.nii", "cannot be read", Path.touch),
    fault("text.nii", "cannot be read", Path.write_text, "not an image"),
    fault("text_compressed.nii.gz", "cannot be read", Path.write_bytes, gzip.compress(b"not an image")),
    fault("text_called_compressed.nii.gz", "cannot be read", Path.write_text, "not an image"),
    *(fault(f"cut_at_{n}.nii", "cannot be read", _cut, n) for n in (1, 40, 347)),
    *(fault(f"cut_at_{n}.nii", "end early", _cut, n) for n in (348, 351, 352, 353, 1000)),
    fault("cut_by_a_byte.nii", "end early", _cut, -1),
    *(fault(f"cut_at_{share}.nii.gz", "cannot be read", _cut, share) for share in (0.01, 0.3, 0.7, 0.99)),
    fault("cut_in_the_checksum.nii.gz", "cannot be read", _cut, -4),
    fault("a_bit_flipped.nii.gz", "CRC check failed", _with_flipped_bit),
    fault("junk_behind.nii.gz", "cannot be read", Path.write_bytes, gzip.compress(image().to_bytes()) + b"junk"),
    fault("cut.mgz", "cannot be read", Path.write_bytes, gzip.compress(_MGH)[:-3000]),
    fault("header_alone.hdr", "nothing|end early|cannot be read", _header_alone),
    fault("wrong_magic.nii", "cannot be read", _with_header, "4s", 344, b"abcd"),
    fault("wrong_header_size.nii", "sizeof_hdr", _with_header, "i", 0, 123),
    fault("unknown_data_type.nii", "data code 77", _with_header, "h", 70, 77),
    fault("data_far_behind_the_end.nii", "end early", _with_header, "f", 108, 1e9),
    fault("data_at_nan.nii", "NaN|nan", _with_header, "f", 108, np.nan),
    fault("data_within_the_header.nii", "begin at byte 0", _with_header, "f", 108, 0.0),
    fault("more_slices_than_the_header_says.nii", "18432 bytes more", _with_header, "h", 46, 8),
    fault("negative_size.nii", "3-D", _with_header, "h", 42, -5),
    fault("zero_size.nii", "3-D", _with_header, "h", 42, 0),
    fault("size_of_a_petabyte.nii", "at most", _with_header, "3h", 42, 32767, 32767, 32767),
    fault("size_of_8_dimensions.nii", "cannot be read|3-D", _with_header, "h", 40, 8),
    fault("two_dimensions.nii", "3-D", saved, head()[:, :, 6]),
    fault("four_dimensions.nii", "3-D", saved, np.stack([head(), head()], -1)),
    fault("one_slice.nii", "2 voxels or more", saved, head()[:, :, :1]),
    fault("all_zero.nii", "the one value 0", saved, np.zeros(SHAPE, np.int16)),
    fault("constant.nii", "the one value 7", saved, np.full(SHAPE, 7, np.float32)),
    fault("a_mask.nii", "2 values alone", saved, (head() > 300).astype(np.uint8)),
    fault("a_map_of_labels.nii", "3 values alone", saved, tissues()),
    fault("a_nan.nii", "in 1 voxels", with_voxel, np.nan, head()),
    fault("infinity.nii", "in 1 voxels", with_voxel, -np.inf, head()),
    fault("beyond_float32.nii", "in 1 voxels", with_voxel, 1e300, head().astype(float)),
    fault("all_negative.nii", "not above 0", saved, head() - 2000),
    fault("one_voxel_outshines_all.nii", "brighter than the mean", saved, _SPREAD),
    fault("one_voxel_near_the_largest.nii", "brighter than the mean", with_voxel, 9e19, head()),
    fault("rgb.nii", "real grey values", saved, np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])),
    fault("complex.nii", "complex64", saved, head().astype(np.complex64)),
    fault("no_affine.nii", "codes of 0", _with_forms, np.eye(4), np.eye(4), (0, 0)),
    fault("smaller_than_floats_hold.nii", "scale the image", saved, head() * np.float32(1e-37)),
    fault("longer_than_its_header.img", "more are there", _longer_pair),
    fault("analyze.img", "with its orientation", _of_kind, nib.AnalyzeImage),
    fault("affine_with_a_zero_axis.nii", r"0\.\]", _with_forms, _affine((1, 0, 0), (0, 1, 0), (0, 0, 0)), None, (1, 0)),
    fault("affine_of_a_plane.nii", "right angles", _with_forms, _affine((1, 0, 0), (0, 1, 0), (0, 3, 0)), None, (1, 0)),
    fault("affine_sheared.nii", "right angles", _with_forms, _affine((1, 0, 0), (0.5, 1, 0), (0, 0, 3)), None, (1, 0)),
    fault("affine_with_nan.nii", "nan", _with_header, "f", 300, np.nan),
    fault("affine_in_metres.nii", "0.001", _with_forms, np.diag([0.001, 0.001, 0.003, 1]), None, (1, 0)),
    fault("unit_of_metres.nii", "in metres by the header", _with_header, "B", 123, 1),
    fault("unit_of_micrometres.nii", "in micrometres by the header", _with_header, "B", 123, 3),
    fault("sform_and_pixdim_disagree.nii", r"by pixdim of \[1\. 1\. 1\.\]", _with_forms, GRID, None, (1, 0)),
    fault("mgh_without_orientation.mgh", "goodRASFlag", Path.write_bytes, _MGH[:28] + b"\0\0" + _MGH[30:]),
    fault("affine_in_micrometres.nii", "3000", _with_forms, np.diag([1000, 1000, 3000, 1]), None, (1, 0)),
    fault("forms_disagree.nii", "20 mm apart", _with_forms, GRID, GRID + 20 * np.eye(4, k=3), (1, 1)),
    fault("no_quaternion.nii", "valid qform", _with_header, "3f", 256, 3, 3, 3),
    fault("voxel_size_zero.nii", "pixdim", _with_header, "3f", 80, 0, 0, 0),
    fault("voxels_of_0.1_mm_all_over.nii", "field of view", saved, None, np.diag([0.1, 0.1, 0.3, 1])),
    fault("voxels_of_20_mm_all_over.nii", "field of view", saved, None, np.diag([20, 20, 20, 1])),
]
