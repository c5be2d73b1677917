"""Displaced slices are found and brought back; still ones are left alone."""

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_study.motion import brought_back, offsets_mm


@pytest.fixture(scope="module")
def head():
    """A textured ball of 3 mm slices, float32 (60, 64, 24), 1.2 x 1.2 x 3 mm."""
    rng, shape = np.random.default_rng(0), (60, 64, 24)
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), (2.5, 2.5, 2))
    x, y, z = np.indices(shape) - np.reshape(shape, (3, 1, 1, 1)) / 2
    inside = (x / 26) ** 2 + (y / 28) ** 2 + (z / 11) ** 2 < 1
    return np.where(inside, 1 + 8 * texture.clip(-0.1, 0.1), 0.02).astype(np.float32)


def moved(head, sd_mm):
    by = np.random.default_rng(1).normal(0, sd_mm / 1.2, (head.shape[2], 2))
    return np.stack([ndimage.shift(head[..., k], by[k], order=3) for k in range(head.shape[2])], axis=2)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=["axial", "sagittal"])
@pytest.mark.parametrize("sd_mm", [0.7, 1.5])
def test_most_of_the_displacement_is_taken_back(head, sd_mm, order):
    affine = np.diag([*np.array([1.2, 1.2, 3.0])[list(order)], 1])
    disturbed = moved(head, sd_mm)
    still, found = brought_back(Nifti1Image(disturbed.transpose(order), affine))
    off, before = (np.std(one - head) for one in (still.get_fdata().transpose(np.argsort(order)), disturbed))
    assert off < 0.7 * before
    assert found == pytest.approx(sd_mm, rel=0.35)
    assert np.array_equal(still.affine, affine)


def test_a_head_that_did_not_move_is_returned_as_it_is(head):
    image = Nifti1Image(head, np.diag([1.2, 1.2, 3, 1]))
    assert brought_back(image) == (image, 0.0)


@pytest.mark.parametrize("shape", [(60, 64, 2), (60, 1, 24)], ids=["few slices", "lines"])
def test_what_is_too_small_to_tell_is_returned_as_it_is(head, shape):
    image = Nifti1Image(
        head[tuple(slice((m - n) // 2, (m + n) // 2) for m, n in zip(head.shape, shape, strict=True))],
        np.diag([1.2, 1.2, 3, 1]),
    )
    assert brought_back(image)[0] is image


@pytest.mark.parametrize("change", [lambda image: 1e-33 * image, lambda image: image - 0.7], ids=["scale", "offset"])
def test_neither_scale_nor_offset_moves_a_slice(head, change):
    for array in (head, moved(head, 1.5)):
        found = [
            brought_back(Nifti1Image(one.astype(np.float32), np.diag([1.2, 1.2, 3, 1])))[1]
            for one in (array, change(array))
        ]
        assert found[1] == pytest.approx(found[0], rel=0.1)


def test_an_empty_slice_has_an_offset_that_is_a_number(head):
    stack = np.moveaxis(head, 2, 0).astype(np.float32)
    stack[12] = 0
    found = offsets_mm(stack, np.ones(stack.shape, bool), np.array([1.2, 1.2]), 1.0)
    assert np.isfinite(found[1:-1]).all()
