"""Images that look odd and are right: the same head stored in every way that is accepted."""

import struct

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.files import load_image
from tests.core.imaging.test_geometry import centre_mm
from tests.core.test_segmenter import SEGMENTER

RADII_MM = np.array([12.0, 13.0, 11.0])
CENTRE_MM = np.array([3.0, -5.0, 7.0])
FIELD_MM = 36.0
VOLUME_ML = 4 / 3 * np.pi * np.prod(RADII_MM) / 1000


def head(spacing=(1.0, 1.0, 3.0)) -> Nifti1Image:
    """Sample the head, bright inside, on a grid around it; float32, its edge half a millimetre soft."""
    affine = np.diag([*spacing, 1.0])
    shape = tuple(round(FIELD_MM / mm) for mm in spacing)
    affine[:3, 3] = CENTRE_MM - nib.affines.apply_affine(affine, (np.array(shape) - 1) / 2)
    world = nib.affines.apply_affine(affine, np.stack(np.indices(shape), -1)) - CENTRE_MM
    outwards_mm = (np.linalg.norm(world / RADII_MM, axis=-1) - 1) * RADII_MM.mean()
    return Nifti1Image((20 + 900 / (1 + np.exp(4 * outwards_mm))).astype(np.float32), affine)


def _with_forms(sform: int, qform: int, apart_mm: float = 0.0) -> Nifti1Image:
    image = head()
    moved = image.affine + apart_mm * np.eye(4, k=3)
    image.set_sform(image.affine, sform)
    image.set_qform(moved, qform)
    return image


def _as_type(dtype: str, offset: float = 0.0) -> Nifti1Image:
    return Nifti1Image((np.asarray(head().dataobj) + offset).astype(dtype), head().affine)


def _scaled(slope: float, intercept: float, stored: np.ndarray) -> bytes:
    """Store whole numbers with a slope and an intercept in the header."""
    content = bytearray(Nifti1Image(np.rint(stored).astype(np.int16), head().affine).to_bytes())
    struct.pack_into("<2f", content, 112, slope, intercept)
    return bytes(content)


ARRAY = np.asarray(head().dataobj)
ACCEPTED = {
    "plain.nii": head(),
    "compressed.nii.gz": head(),
    "voxels_of_0.1_mm.nii.gz": head((0.1, 0.4, 3)),
    "slices_of_9_mm.nii": head((1, 1, 9)),
    "slices_thinner_than_in_plane.nii": head((1.2, 1.2, 0.5)),
    "isotropic.nii": head((0.9, 0.9, 0.9)),
    "negative_values.nii": _as_type("int16", -100),
    "few_grey_values.nii": _scaled(40, 0, ARRAY / 40),
    "int16_with_slope.nii": _scaled(0.05, -300, (ARRAY + 300) / 0.05),
    "negative_slope.nii": _scaled(-0.5, 1000, (ARRAY - 1000) / -0.5),
    **{f"slope_{slope}_means_none.nii": _scaled(slope, 0, ARRAY) for slope in (0.0, np.nan, np.inf)},
    "int32.nii": _as_type("int32"),
    "float64.nii": _as_type("float64"),
    "big_endian.nii": Nifti1Image(ARRAY, head().affine, nib.Nifti1Header(endianness=">")),
    "four_axes_the_last_of_1.nii": Nifti1Image(ARRAY[..., None], head().affine),
    "freesurfer.mgz": nib.MGHImage(ARRAY, head().affine),
    "pair.img": nib.Nifti1Pair(ARRAY, head().affine),
    "sform_alone.nii": _with_forms(1, 0),
    "qform_alone.nii": _with_forms(0, 1),
    "forms_of_other_codes.nii": _with_forms(4, 1),
    "forms_that_nearly_agree.nii": _with_forms(1, 1, apart_mm=0.3),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_image_gives_the_right_volume_in_the_right_place(name, tmp_path):
    made, path = ACCEPTED[name], tmp_path / name
    path.write_bytes(made) if isinstance(made, bytes) else nib.save(made, path)
    image = load_image(path)
    result = SEGMENTER(image)
    coarse = "9_mm" in name  # a head of 22 mm in slices of 9 mm
    assert result.volumes_ml["cortex"] == pytest.approx(VOLUME_ML, rel=0.15 if coarse else 0.05)
    np.testing.assert_allclose(centre_mm(result.labels), CENTRE_MM, atol=0.25)
    assert nib.aff2axcodes(result.labels.affine) == nib.aff2axcodes(image.affine)
