import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import resample_isotropic, resample_like
from segsrgan_core.simulation import slice_positions
from tests.core.imaging.test_geometry import centre_mm
from tests.settings import simulation, thick_slices


def blob(affine, shape, offset_mm=(0, 0, 0), sigma_mm=3.0):
    world = nib.affines.apply_affine(affine, np.stack(np.indices(shape), -1))
    centre = nib.affines.apply_affine(affine, (np.array(shape) - 1) / 2) + offset_mm
    return Nifti1Image(np.exp(-((world - centre) ** 2).sum(-1) / (2 * sigma_mm**2)).astype(np.float32), affine)


def test_slices_cover_the_field_and_lie_around_its_middle():
    positions = slice_positions(40, 0.5, 3.0)
    assert len(positions) == 7  # 20 mm in slices of 3 mm
    np.testing.assert_allclose(np.diff(positions), 6.0)
    np.testing.assert_allclose(positions.mean(), 19.5)


@pytest.mark.parametrize(("thickness", "distance"), [(2.0, None), (3.0, 6.0), (3.7, 3.0)])
def test_the_gaussian_profile_has_the_slice_thickness_at_half_maximum_whatever_the_distance(thickness, distance):
    down, _ = simulation(slice_mm=thickness, distance_mm=distance).matrices(401, 0.1)
    row = down[len(down) // 2]
    above = np.flatnonzero(row >= row.max() / 2)
    assert (above[-1] - above[0]) * 0.1 == pytest.approx(thickness, abs=0.2)


def test_the_box_profile_averages_the_voxels_of_a_slice():
    down, _ = simulation(slice_mm=3.0, profile="box").matrices(30, 1.0)
    expected = np.kron(np.eye(10), np.full((1, 3), 1 / 3))
    np.testing.assert_allclose(down, expected, atol=0.06)  # the spline between the voxels rounds the box's corners
    np.testing.assert_allclose(down.sum(axis=1), 1)


def test_slices_thinner_than_voxels_are_refused():
    image = Nifti1Image(np.ones((8, 8, 8), np.float32), np.diag([1, 1, 1, 1]))
    with pytest.raises(UserError, match=r"0\.5 mm is below the image's voxel size of 1 mm"):
        thick_slices(image, 0.5)


def test_an_acquisition_has_noise_of_its_share_or_of_a_given_deviation():
    image, three_mm = Nifti1Image(np.ones((20, 20, 60), np.float32), np.eye(4)), simulation(slice_mm=3.0, noise=0.05)
    for sd, options in ((0.05, {}), (0.1, {"noise_sd": 0.1})):
        noisy = three_mm.acquire(image, np.random.default_rng(0), **options)
        assert noisy.shape == (20, 20, 20)
        assert np.std(noisy.dataobj) == pytest.approx(sd, rel=0.1)


def test_slices_with_gaps_or_overlap_lie_at_their_distance():
    affine = np.diag([1.0, 1, 1, 1])
    image = blob(affine, (8, 8, 60))
    for distance in (2.0, 4.0):
        gapped = simulation(slice_mm=3.0, distance_mm=distance)
        low = gapped.slices(image)
        np.testing.assert_allclose(nib.affines.voxel_sizes(low.affine), [1, 1, distance])
        np.testing.assert_allclose(centre_mm(low), centre_mm(image), atol=0.1)
        down, _ = gapped.matrices(60, 1.0)
        np.testing.assert_allclose(np.asarray(low.dataobj), np.asarray(image.dataobj) @ down.T, atol=1e-5)
        assert gapped.with_thickness(1.5).distance_mm == distance / 2


def test_interpolation_to_a_voxel_size_keeps_the_field_of_view():
    low = Nifti1Image(np.ones((20, 20, 10), np.float32), np.diag([0.5, 0.5, 3.0, 1]))
    fine = resample_isotropic(low, 0.5)
    assert fine.shape == (20, 20, 60)
    np.testing.assert_allclose(np.asarray(fine.dataobj), 1, atol=1e-5)


@pytest.mark.parametrize("thickness_mm", [2.4, 3.0, 4.1])
def test_the_matrices_of_a_line_are_those_of_an_image(thickness_mm):
    array = np.random.default_rng(0).random((3, 4, 40)).astype(np.float32)
    image = Nifti1Image(array, np.diag([0.8, 0.8, 0.8, 1.0]))
    thick = thick_slices(image, thickness_mm)
    down, up = simulation(slice_mm=thickness_mm).matrices(40, 0.8)
    np.testing.assert_allclose(array @ down.T, np.asarray(thick.dataobj), atol=1e-5)
    back = resample_like(thick, image)
    np.testing.assert_allclose(array @ down.T @ up.T, np.asarray(back.dataobj), atol=1e-4)
