import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage
from threadpoolctl import threadpool_limits

from segsrgan_core.imaging import geometry


def oblique(spacing=(0.7, 0.8, 0.9), codes="LSP", angle=0.3, origin=(5.0, -7.0, 11.0), angles=None):
    turn = nib.eulerangles.euler2mat(*(angles or (angle, angle / 2, -angle)))
    axes = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(codes), (1, 1, 1))[:3, :3]
    return nib.affines.from_matvec(turn @ axes @ np.diag(spacing), origin)


def centre_mm(image):
    return nib.affines.apply_affine(image.affine, ndimage.center_of_mass(np.asarray(image.dataobj, float)))


def test_spline_matrix_is_exact_at_the_samples_and_for_a_cubic_inside():
    np.testing.assert_allclose(geometry.spline_matrix(9, np.arange(9)), np.eye(9), atol=1e-9)
    at = np.linspace(25, 35, 23)
    cubic = lambda t: 1 + 0.1 * t - 0.02 * t**2 + 0.001 * t**3  # noqa: E731
    np.testing.assert_allclose(geometry.spline_matrix(60, at) @ cubic(np.arange(60.0)), cubic(at), rtol=1e-6)
    # Beyond the edge a constant is kept.
    np.testing.assert_allclose(geometry.spline_matrix(5, np.array([-0.5, 4.5])) @ np.ones(5), 1, atol=1e-5)


@pytest.mark.parametrize("ratio", [1.1, 1.5, 2.0, 3.0])
def test_a_wider_voxel_blurs_by_what_it_is_wider(ratio):
    x = np.arange(120.0)
    blob = np.exp(-((x - 59.3) ** 2) / (2 * 4.0**2)).astype(np.float32)
    image = Nifti1Image(blob[:, None, None] * np.ones((1, 9, 9), np.float32), np.eye(4))
    wide = geometry.resample_isotropic(image, ratio)
    line = np.asarray(wide.dataobj)[:, 1, 1].astype(float)
    places = wide.affine[0, 3] + ratio * np.arange(len(line))  # in the fine voxels
    mean = (line @ places) / line.sum()
    variance = line @ (places - mean) ** 2 / line.sum()
    assert variance == pytest.approx(4.0**2 + (ratio**2 - 1) / 12, abs=0.02)


def test_voxels_wider_by_a_rounding_error_keep_the_image_sharp():
    array = np.random.default_rng(0).random((60, 20, 20), np.float32)
    for rounded in (0.859375, 0.85939999, 0.859401):
        same = geometry.resample_isotropic(Nifti1Image(array, np.diag([rounded] * 3 + [1.0])), 0.8594)
        np.testing.assert_allclose(np.asarray(same.dataobj), array, atol=0.01)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_line_along_an_axis_is_multiplied(axis):
    rng = np.random.default_rng(axis)
    array, matrix = rng.random((5, 6, 7)), rng.random((4, 5 + axis))
    found = geometry.apply_along(array, matrix, axis)
    np.testing.assert_allclose(found, np.moveaxis(np.tensordot(array, matrix, (axis, 1)), -1, axis))
    assert found.flags.c_contiguous


def test_the_far_tails_of_a_spline_are_no_denormal_numbers():
    point = np.zeros((4, 4, 200), np.float32)
    point[..., 20] = 1
    line = geometry.apply_along(point, geometry.spline_matrix(200, np.arange(0, 199.5, 0.5)), 2)[0, 0]
    assert line[41] > 0.5
    assert not line[100:].any()


def test_the_number_of_threads_changes_no_bit():
    image = Nifti1Image(np.random.default_rng(0).random((141, 170, 127), np.float32), np.diag([0.8, 0.8, 3.0, 1.0]))
    arrays = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            arrays.append(np.asarray(geometry.resample_isotropic(image, 0.8).dataobj))
    np.testing.assert_array_equal(*arrays)
