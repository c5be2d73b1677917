import nibabel as nib
import numpy as np
import pytest

from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_study.verdict.damage import KINDS, Head, cut
from tests.core.imaging.test_geometry import oblique
from tests.core.test_simulation import blob
from tests.settings import simulation

HEAD = Head(blob(oblique((1, 1, 1), "RAS"), (36, 40, 44), (2.0, -1.0, 3.0), 7.0), simulation(noise=0.01))


def damaged(kind, seed=0):
    return KINDS[kind](HEAD, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_gives_an_image_that_its_seed_decides(kind):
    image, again, other = (damaged(kind, seed) for seed in (1, 1, 2))
    array = np.asarray(image.dataobj)
    assert array.dtype == np.float32
    assert np.isfinite(array).all()
    np.testing.assert_array_equal(array, np.asarray(again.dataobj))
    assert array.shape != other.shape or not np.array_equal(array, np.asarray(other.dataobj))
    assert array.shape != damaged("nothing").shape or not np.array_equal(array, np.asarray(damaged("nothing").dataobj))


@pytest.mark.parametrize("seed", range(4))
def test_what_a_cut_leaves_stays_in_its_place(seed):
    quiet = Head(HEAD.image, simulation(noise=0.0))
    whole, left = quiet.slices(np.random.default_rng(0)), cut(quiet, np.random.default_rng(seed))
    assert np.prod(left.shape) < np.prod(whole.shape)
    voxel = np.array(left.shape) // 2
    there = np.linalg.inv(whole.affine) @ left.affine @ [*voxel, 1]
    at = tuple(np.round(there[:3]).astype(int))
    np.testing.assert_allclose(there[:3], at, atol=1e-6)
    assert left.dataobj[tuple(voxel)] == whole.dataobj[at]


def test_wrong_voxels_are_wrong_in_the_header_alone():
    right, wrong = HEAD.slices(np.random.default_rng(3)), damaged("wrong voxels", 3)
    assert right.shape == wrong.shape
    ratio = spacing_mm(wrong) / spacing_mm(right)
    assert abs(np.log(ratio[2])) > np.log(1.14)
    assert nib.aff2axcodes(wrong.affine) == nib.aff2axcodes(right.affine)


def test_what_is_outside_of_a_wrapped_field_lies_on_its_other_side():
    quiet = Head(HEAD.image, simulation(noise=0.0))
    whole = np.asarray(quiet.slices(np.random.default_rng(0)).dataobj)
    folded = np.asarray(KINDS["wrapped"](quiet, np.random.default_rng(5)).dataobj)
    assert folded.size < whole.size
    assert folded.sum() == pytest.approx(whole.sum(), rel=1e-5)
