import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.shapes.cortex import MEASURES, cortical_shape, hemisphere_shape
from segsrgan_study.shapes.surface import surface
from segsrgan_study.shapes.thickness import thickness_mm

AXIS = np.array([0.36, 0.48, 0.8])  # oblique to the grid


def points_mm(size):
    """World coordinates of a cube of voxels of 0.8 mm, its centre a little beside a voxel's."""
    return (np.stack(np.indices((size, size, size)), -1) - size / 2 + [0.8, 0.6, 0.7]) * 0.8


def ball(size, radius_mm):
    return np.linalg.norm(points_mm(size), axis=-1) < radius_mm


def test_the_area_of_an_oblique_cylinder_and_of_a_box():
    along = points_mm(76) @ AXIS
    across = np.linalg.norm(points_mm(76) - along[..., None] * AXIS, axis=-1)
    area_mm2 = surface((across < 12) & (abs(along) < 20), np.full(3, 0.8)).areas_mm2.sum()
    assert area_mm2 == pytest.approx(2 * np.pi * 12 * (12 + 40), rel=0.02)
    box = np.zeros((60, 50, 70), bool)
    box[5:-5, 5:-5, 5:-5] = True
    area_mm2 = surface(box, np.array([0.5, 1.0, 0.8])).areas_mm2.sum()
    assert area_mm2 == pytest.approx(2 * (25 * 40 + 25 * 48 + 40 * 48), rel=0.03)  # its edges are rounded


def test_both_banks_of_a_sulcus_of_one_voxel_count():
    gyri = np.zeros((40, 50, 50), bool)
    gyri[5:19, 5:-5, 5:-5] = gyri[20:34, 5:-5, 5:-5] = True
    one = surface(gyri & (np.arange(40) < 19)[:, None, None], np.ones(3)).areas_mm2.sum()
    assert surface(gyri, np.ones(3)).areas_mm2.sum() == pytest.approx(2 * one, rel=0.01)


@pytest.mark.parametrize("thick_mm", [1.2, 2.0, 3.1])
def test_the_thickness_of_an_oblique_sheet_and_of_a_shell(thick_mm):
    height = points_mm(50) @ AXIS
    sheet = (height >= 0) & (height < thick_mm) & np.pad(np.ones((40, 40, 40), bool), 5)
    found = thickness_mm(sheet, height < 0, np.full(3, 0.8))
    middle = np.all(np.abs(np.argwhere(sheet) - 25) < 12, axis=1)  # away from the ends
    assert found[middle].mean() == pytest.approx(thick_mm, rel=0.05)
    core, whole = ball(60, 15.0), ball(60, 15.0 + thick_mm)
    assert hemisphere_shape(whole & ~core, whole, np.full(3, 0.8))["thickness_mm"] == pytest.approx(thick_mm, rel=0.02)


def test_islands_have_no_thickness():
    sheet = np.zeros((9, 9, 9), bool)
    sheet[4, 4, 4] = True
    assert np.isnan(thickness_mm(sheet, ~sheet, np.ones(3))).all()


def test_a_ball_has_no_sulci_and_a_slit_is_one():
    core, whole = ball(72, 20.0), ball(72, 23.0)
    smooth = hemisphere_shape(whole & ~core, whole, np.full(3, 0.8))
    assert smooth["gyrification"] == pytest.approx(1, abs=0.01)
    assert smooth["depth_mm"] < 0.2
    x, _, z = np.moveaxis(points_mm(72), -1, 0)
    slit = whole & (abs(x) < 1.5) & (z > 5)
    core &= (abs(x) > 4.5) | (z < 2)
    folded = hemisphere_shape(whole & ~core & ~slit, whole & ~slit, np.full(3, 0.8))
    wall_mm2 = 2 * (23**2 * np.arccos(5 / 23) - 5 * np.sqrt(23**2 - 5**2))  # of both banks
    assert folded["gyrification"] == pytest.approx(1 + wall_mm2 / (4 * np.pi * 23**2), rel=0.03)
    depth_mm = 23 - np.linalg.norm(points_mm(72)[(abs(x) < 0.5) & (z > 5) & whole], axis=-1)  # at the banks
    share = wall_mm2 / (4 * np.pi * 23**2 + wall_mm2)
    assert folded["depth_mm"] == pytest.approx(share * depth_mm.mean() + smooth["depth_mm"], rel=0.1)


def test_each_hemisphere_by_itself_and_nothing_without_white_matter():
    centre, right = np.abs(np.indices((72, 72, 72))[0] - 36), np.indices((72, 72, 72))[0] >= 36
    labels = np.where(ball(72, 23.0), 2, 0)
    labels[ball(72, 20.0) & (centre > 3)] = 3
    labels = np.where(~right & (labels == 3) & ball(72, 12.0), 5, labels).astype(np.uint8)
    affine = np.diag([0.8, 0.8, 0.8, 1])
    sides = Nifti1Image(np.where(labels > 0, 1 + right, 0).astype(np.uint8), affine)
    found = cortical_shape(Nifti1Image(labels, affine), sides)
    assert list(found) == [f"{side}_{name}" for side in ("left", "right") for name in MEASURES]
    assert found["left_area_cm2"] == pytest.approx(found["right_area_cm2"], rel=0.05)  # a ventricle lies inside
    assert found["left_area_cm2"] == pytest.approx((2 * np.pi * 23**2 + np.pi * 23**2) / 100, rel=0.03)
    assert np.isnan(list(cortical_shape(Nifti1Image(np.where(labels == 2, labels, 0), affine), sides).values())).all()
    assert np.isnan(list(cortical_shape(Nifti1Image(labels, affine), None).values())).all()
