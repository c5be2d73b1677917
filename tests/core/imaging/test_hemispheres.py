import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.imaging.hemispheres import LEFT, RIGHT, intracranial, largest_part, mirror_plane, split_hemispheres

NORMAL = np.array([0.985, 0.12, -0.12]) / np.linalg.norm([0.985, 0.12, -0.12])
FORWARD = np.cross([0, 0, 1], NORMAL) / np.linalg.norm(np.cross([0, 0, 1], NORMAL))


@pytest.fixture(scope="module")
def head():
    """An egg of two mirrored halves around a tilted plane, 3 mm right of the middle of the field of view."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-50, -60, -50]
    points = nib.affines.apply_affine(affine, np.stack(np.meshgrid(*map(np.arange, (50, 60, 50)), indexing="ij"), -1))
    across = points @ NORMAL - 3
    forward, upward = points @ FORWARD, points @ np.cross(NORMAL, FORWARD)
    radius = np.sqrt((across / 38) ** 2 + (forward / 50) ** 2 + ((upward + 4) / 40) ** 2)
    bright = np.exp(-((np.abs(across) - 15) ** 2 + (forward - 10) ** 2) / 80) + 0.2 * forward / 50
    image = np.where(radius < 1, 1 + bright, 0).astype(np.float32)
    return Nifti1Image(image, affine), radius < 1, np.where(across < 0, LEFT, RIGHT) * (radius < 1)


def test_the_plane_of_symmetry_is_found(head):
    image, mask, _ = head
    for scan in (image, Nifti1Image(np.rint(3 * np.asarray(image.dataobj)).astype(np.int16), image.affine)):
        normal, offset_mm = mirror_plane(scan, mask)
        np.testing.assert_allclose(normal, NORMAL, atol=0.02)
        assert offset_mm == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("axes", ["RAS", "LPI", "SAR"])
def test_left_and_right_are_those_of_the_world(head, axes):
    image, mask, truth = head
    turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(axes))
    turned = [Nifti1Image(a.astype(np.float32), image.affine).as_reoriented(turn) for a in (mask, truth)]
    found = split_hemispheres(image.as_reoriented(turn), turned[0].get_fdata() > 0)
    assert (found == turned[1].get_fdata())[found > 0].mean() > 0.99
    np.testing.assert_array_equal(found > 0, turned[0].get_fdata() > 0)


def test_unlabelled_deep_structures_are_within_the_skull():
    inside = np.pad(np.ones((5, 5, 5), bool), 2)
    labels = np.where(inside, 2, np.pad(np.full((7, 7, 7), 4), 1))
    labels[4, 4, 4] = 0
    np.testing.assert_array_equal(intracranial(labels), inside)


def test_votes_decide_where_the_image_looks_the_same_from_every_side(head):
    image, mask, _ = head
    points = nib.affines.apply_affine(image.affine, np.stack(np.indices(mask.shape), -1))
    ball = np.linalg.norm(points - [2, 0, 0], axis=-1)
    image = Nifti1Image(np.exp(-((ball / 20) ** 2)).astype(np.float32), image.affine)
    normal = np.array([0.98, -0.19, 0.05]) / np.linalg.norm([0.98, -0.19, 0.05])
    rng = np.random.default_rng(0)
    votes = (0.2 * np.sign(points @ normal - 3) + rng.normal(0, 0.5, mask.shape)).clip(-1, 1).astype(np.float32)
    found, offset_mm = mirror_plane(image, ball < 35, votes)
    np.testing.assert_allclose(found, normal, atol=0.06)
    assert offset_mm == pytest.approx(2.5, abs=0.6)  # between the ball's centre and the votes


def test_the_largest_part_is_kept_whole():
    whole = np.pad(np.ones((5, 5, 5), bool), (1, 3))
    mask = whole.copy()
    mask[3, 3, 3], mask[8, 8, 8] = False, True
    np.testing.assert_array_equal(largest_part(mask), whole)
    assert not largest_part(np.zeros_like(mask)).any()
