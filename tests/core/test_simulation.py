import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from tests.core.imaging.test_geometry import centre_mm
from tests.settings import simulation


def blob(affine, shape, offset_mm=(0, 0, 0), sigma_mm=3.0):
    world = nib.affines.apply_affine(affine, np.stack(np.indices(shape), -1))
    centre = nib.affines.apply_affine(affine, (np.array(shape) - 1) / 2) + offset_mm
    return Nifti1Image(np.exp(-((world - centre) ** 2).sum(-1) / (2 * sigma_mm**2)).astype(np.float32), affine)


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


def test_an_acquisition_has_noise_of_its_share_or_of_a_given_deviation():
    image, three_mm = Nifti1Image(np.ones((20, 20, 60), np.float32), np.eye(4)), simulation(slice_mm=3.0, noise=0.05)
    for sd, options in ((0.05, {}), (0.1, {"noise_sd": 0.1})):
        noisy = three_mm.acquire(image, np.random.default_rng(0), **options)
        assert noisy.shape == (20, 20, 20)
        assert np.std(noisy.dataobj) == pytest.approx(sd, rel=0.1)


def test_slices_with_gaps_or_overlap_lie_at_their_distance():
    image = blob(np.eye(4), (8, 8, 60))
    for distance, slices in ((2.0, 30), (4.0, 15), (7.3, 9)):
        gapped = simulation(slice_mm=3.0, distance_mm=distance)
        low = gapped.slices(image)
        assert low.shape == (8, 8, slices)
        np.testing.assert_allclose(nib.affines.voxel_sizes(low.affine), [1, 1, distance])
        np.testing.assert_allclose(centre_mm(low), centre_mm(image), atol=0.1)
        down, _ = gapped.matrices(60, 1.0)
        np.testing.assert_allclose(np.asarray(low.dataobj), np.asarray(image.dataobj) @ down.T, atol=1e-5)
        assert gapped.with_thickness(1.5).distance_mm == distance / 2
