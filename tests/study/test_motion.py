import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_study.motion import brought_back, offsets_mm

SHAPE = (60, 64, 24)
TEXTURE = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), (2.5, 2.5, 2))
X, Y, Z = np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2
INSIDE = (X / 26) ** 2 + (Y / 28) ** 2 + (Z / 11) ** 2 < 1
HEAD = np.where(INSIDE, 1 + 8 * TEXTURE.clip(-0.1, 0.1), 0.02).astype(np.float32)  # 1.2 x 1.2 x 3 mm


def image_of(array):
    return Nifti1Image(array, np.diag([1.2, 1.2, 3, 1]))


def moved(sd_mm):
    by = np.random.default_rng(1).normal(0, sd_mm / 1.2, (HEAD.shape[2], 2))
    return np.stack([ndimage.shift(HEAD[..., k], by[k], order=3) for k in range(HEAD.shape[2])], axis=2)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=["axial", "sagittal"])
@pytest.mark.parametrize("sd_mm", [0.7, 1.5])
def test_most_of_the_displacement_is_taken_back(sd_mm, order):
    affine = np.diag([*np.array([1.2, 1.2, 3.0])[list(order)], 1])
    disturbed = moved(sd_mm)
    still, found = brought_back(Nifti1Image(disturbed.transpose(order), affine))
    off, before = (np.std(one - HEAD) for one in (still.get_fdata().transpose(np.argsort(order)), disturbed))
    assert off < 0.7 * before
    assert found == pytest.approx(sd_mm, rel=0.35)
    assert np.array_equal(still.affine, affine)


@pytest.mark.parametrize("shape", [SHAPE, (60, 64, 2), (60, 1, 24)], ids=["still", "few slices", "lines"])
def test_what_did_not_move_or_is_too_small_to_tell_is_returned_as_it_is(shape):
    middle = tuple(slice((m - n) // 2, (m + n) // 2) for m, n in zip(HEAD.shape, shape, strict=True))
    image = image_of(HEAD[middle])
    assert brought_back(image) == (image, 0.0)


@pytest.mark.parametrize("change", [lambda image: 1e-33 * image, lambda image: image - 0.7], ids=["scale", "offset"])
def test_neither_scale_nor_offset_moves_a_slice(change):
    for array in (HEAD, moved(1.5)):
        before, after = (brought_back(image_of(one.astype(np.float32)))[1] for one in (array, change(array)))
        assert after == pytest.approx(before, rel=0.1)


def test_an_empty_slice_has_an_offset_that_is_a_number():
    stack = np.moveaxis(HEAD, 2, 0).astype(np.float32)
    stack[12] = 0
    assert np.isfinite(offsets_mm(stack, np.ones(stack.shape, bool), np.array([1.2, 1.2]), 1.0)[1:-1]).all()
