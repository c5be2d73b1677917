"""Images that look odd and are right: the same head stored in every way that is accepted."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.files import load_image
from tests.core.imaging.test_geometry import centre_mm, oblique
from tests.core.test_segmenter import SEGMENTER

RADII_MM = np.array([12.0, 13.0, 11.0])
CENTRE_MM = np.array([3.0, -5.0, 7.0])
FIELD_MM = 36.0
VOLUME_ML = 4 / 3 * np.pi * np.prod(RADII_MM) / 1000


def head(spacing=(1.0, 1.0, 3.0), codes="RAS", angle=0.0) -> Nifti1Image:
    """Sample the head, bright inside, on a grid around it; float32, its edge half a millimetre soft."""
    affine = oblique(spacing, codes, angle, (0, 0, 0))
    shape = tuple(round(FIELD_MM / mm) for mm in spacing)
    middle = nib.affines.apply_affine(affine, (np.array(shape) - 1) / 2)
    affine[:3, 3] = CENTRE_MM - middle
    world = nib.affines.apply_affine(affine, np.stack(np.indices(shape), -1)) - CENTRE_MM
    outwards_mm = (np.linalg.norm(world / RADII_MM, axis=-1) - 1) * RADII_MM.mean()
    return Nifti1Image((20 + 900 / (1 + np.exp(4 * outwards_mm))).astype(np.float32), affine)


def _with_forms(path: Path, sform: int, qform: int) -> None:
    image = head()
    affine = image.affine.copy()
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    nib.save(image, path)


def _as_type(path: Path, dtype: str, offset: float = 0.0) -> None:
    source = head()
    nib.save(Nifti1Image((np.asarray(source.dataobj) + offset).astype(dtype), source.affine), path)


def _scaled(path: Path, slope: float, intercept: float) -> None:
    """Store whole numbers that a slope and an intercept turn into the head's intensities."""
    source = head()
    stored = np.rint((np.asarray(source.dataobj) - intercept) / slope).astype(np.int16)
    content = bytearray(Nifti1Image(stored, source.affine).to_bytes())
    struct.pack_into("<2f", content, 112, slope, intercept)
    path.write_bytes(content)


def _without_scale(path: Path, slope: float) -> None:
    """A slope of 0, NaN or infinity means none."""
    content = bytearray(Nifti1Image(np.asarray(head().dataobj).astype(np.int16), head().affine).to_bytes())
    struct.pack_into("<2f", content, 112, slope, 0)
    path.write_bytes(content)


def _big_endian(path: Path) -> None:
    source = head()
    nib.save(Nifti1Image(np.asarray(source.dataobj), source.affine, nib.Nifti1Header(endianness=">")), path)


def _four_axes(path: Path) -> None:
    source = head()
    nib.save(Nifti1Image(np.asarray(source.dataobj)[..., None], source.affine), path)


def _mgz(path: Path) -> None:
    source = head()
    nib.save(nib.MGHImage(np.asarray(source.dataobj), source.affine), path)


def _pair(path: Path) -> None:
    source = head()
    nib.save(nib.Nifti1Pair(np.asarray(source.dataobj), source.affine), path)


def _forms_nearly_agree(path: Path) -> None:
    image = head()
    near = image.affine.copy()
    near[0, 3] += 0.3
    image.set_sform(image.affine, 1)
    image.set_qform(near, 1)
    nib.save(image, path)


def _sampled(path: Path, *grid: object) -> None:
    nib.save(head(*grid), path)


ACCEPTED = {
    "plain.nii": (_sampled,),
    "compressed.nii.gz": (_sampled,),
    "left_handed.nii": (_sampled, (1, 1, 3), "LAS"),
    "right_handed_turned.nii": (_sampled, (1, 1, 3), "LPS"),
    "permuted.nii": (_sampled, (3, 1, 1), "SPR"),
    "oblique.nii": (_sampled, (1, 1, 3), "RAS", 0.4),
    "oblique_permuted_left_handed.nii": (_sampled, (1, 3, 1), "PSR", -0.5),
    "voxels_of_0.1_mm.nii.gz": (_sampled, (0.1, 0.4, 3)),
    "slices_of_9_mm.nii": (_sampled, (1, 1, 9)),
    "slices_thinner_than_in_plane.nii": (_sampled, (1.2, 1.2, 0.5)),
    "isotropic.nii": (_sampled, (0.9, 0.9, 0.9)),
    "negative_values.nii": (_as_type, "int16", -100),
    "few_grey_values.nii": (_scaled, 40, 0),
    "int16_with_slope.nii": (_scaled, 0.05, -300),
    "negative_slope.nii": (_scaled, -0.5, 1000),
    "slope_0.nii": (_without_scale, 0.0),
    "slope_nan.nii": (_without_scale, np.nan),
    "slope_infinite.nii": (_without_scale, np.inf),
    "int32.nii": (_as_type, "int32"),
    "float64.nii": (_as_type, "float64"),
    "big_endian.nii": (_big_endian,),
    "four_axes_the_last_of_1.nii": (_four_axes,),
    "freesurfer.mgz": (_mgz,),
    "pair.img": (_pair,),
    "sform_alone.nii": (_with_forms, 1, 0),
    "qform_alone.nii": (_with_forms, 0, 1),
    "forms_of_other_codes.nii": (_with_forms, 4, 1),
    "forms_that_nearly_agree.nii": (_forms_nearly_agree,),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_image_gives_the_right_volume_in_the_right_place(name, tmp_path):
    make, *arguments = ACCEPTED[name]
    make(tmp_path / name, *arguments)
    image = load_image(tmp_path / name)
    result = SEGMENTER(image)
    coarse = "9_mm" in name  # a head of 22 mm in slices of 9 mm
    assert result.volumes_ml["cortex"] == pytest.approx(VOLUME_ML, rel=0.15 if coarse else 0.05)
    np.testing.assert_allclose(centre_mm(result.labels), CENTRE_MM, atol=0.25)
    assert nib.aff2axcodes(result.labels.affine) == nib.aff2axcodes(image.affine)
