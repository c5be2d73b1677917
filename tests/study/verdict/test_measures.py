from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

from segsrgan_core.segmenter import Segmentation
from segsrgan_study.verdict import measures
from segsrgan_study.verdict.rule import reasons, remarks, suspicions

AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])
RADIUS = np.linalg.norm(np.stack(np.indices((40, 40, 20)), -1) - [20, 20, 10], axis=-1)


def image_of(array):
    return Nifti1Image(array.astype(np.float32), AFFINE)


def segmentation(image, labels, sides=None):
    volumes = {"cortex": 0.003 * np.sum(np.asarray(labels.dataobj) == 2)}
    volumes |= {} if sides is None else {"intracranial": 0.003 * np.sum(np.asarray(sides.dataobj) > 0)}
    return Segmentation(image, image, labels, {"cortex": image}, volumes, sides)


def ball(noise=0.0, cortex=40.0, shell=120.0):
    """A ball of shell's grey with a core of cortex's grey in it, thick slices along z, and its segmentation."""
    array = np.select([RADIUS < 5, RADIUS < 18], [cortex, shell], 0.0)
    image = image_of(array + noise * np.random.default_rng(0).standard_normal(array.shape))
    labels, sides = np.where(RADIUS < 5, 2, 0), np.where(RADIUS < 9, 1, 0)
    return image, segmentation(image, *(Nifti1Image(one.astype(np.uint8), AFFINE) for one in (labels, sides)))


def measures_of(image, result):
    return measures.measures(image, image, result)


@pytest.mark.parametrize("sd", [1.0, 5.0])
def test_noise_is_found_in_spite_of_anatomy(sd):
    smooth = np.fromfunction(lambda i, j, k: 100 + 0.05 * (i - 20) ** 2 + 2 * j + 30 * (k % 2), (40, 40, 20))
    array = (smooth + sd * np.random.default_rng(1).standard_normal(smooth.shape)).astype(np.float32)
    inside = np.zeros(array.shape, bool)
    inside[2:-2, 2:-2] = True
    assert measures.noise_sd(array, inside, slice_axis=2) == pytest.approx(sd, rel=0.05)


def test_measures_of_a_ball_by_hand():
    found = measures_of(*ball(noise=2.0))
    assert list(found) == list(measures.MEASURES)
    assert found["snr"] == pytest.approx(120 / 2, rel=0.2)  # edges count as a little noise
    assert found["contrast"] == pytest.approx((120 - 40) / (120 + 40), abs=0.02)
    assert found["share"] == pytest.approx((RADIUS < 5).sum() / (RADIUS < 9).sum())
    assert (found["euler"] * found["share"] * found["skull_ml"], found["pieces"]) == (pytest.approx(1), 0)
    assert (found["cut_cm2"], found["dark"], found["slice_mm"]) == (0, 0, 3)
    assert np.isnan(measures_of(*ball())["snr"])  # no noise


def test_slices_are_fitted_in_heads_as_large_as_at_term(monkeypatch):
    monkeypatch.setattr(measures, "fitted_share", lambda *_: {"fitted": 1.1})
    image, result = ball()
    for skull_ml, fitted in ((349.0, np.nan), (351.0, 1.1)):
        result.volumes_ml["intracranial"] = skull_ml
        np.testing.assert_equal(measures_of(image, result)["fitted"], fitted)


def test_what_lies_beyond_the_field_and_a_dent_are_found():
    assert measures.beyond(np.array([0.0, np.pi]), 4 / 3 * np.pi) == pytest.approx([0, 0.5])
    image, whole = ball()
    found = measures_of(image, whole)
    assert (found["lost"], found["sides"]) == (0, 0)
    hole = np.roll(RADIUS, 9, axis=0) < 7
    dented = replace(whole, sides=Nifti1Image(((RADIUS < 9) & ~hole).astype(np.uint8), AFFINE))
    assert measures_of(image, dented)["solid"] < 0.9 * found["solid"]
    names = ("interpolated", "image", "labels", "sides")
    cut = replace(whole, **{name: getattr(whole, name).slicer[15:26, 15:] for name in names})
    found = measures_of(image.slicer[15:26, 15:], cut)
    assert found["sides"] == 3
    assert found["lost"] > 0.1


@pytest.mark.parametrize("codes", ["LPI", "SRA", "AIL"])
def test_the_order_of_storage_changes_no_measure(codes):
    image, result = ball(noise=2.0)
    turn = nib.orientations.axcodes2ornt(codes)
    images = {name: getattr(result, name).as_reoriented(turn) for name in ("interpolated", "image", "labels", "sides")}
    found = measures_of(image.as_reoriented(turn), replace(result, **images))
    assert found == pytest.approx(measures_of(image, result), rel=1e-3, abs=1e-3, nan_ok=True)


@pytest.mark.parametrize(
    ("turn", "tilt_deg"), [(np.eye(3), 0), (np.diag([-1.0, -1, 1]), 60), (np.diag([1.0, -1, -1]), 180)]
)
def test_a_head_that_is_turned_in_the_field_has_its_hindbrain_elsewhere(turn, tilt_deg):
    x, y, z = np.indices((60, 60, 60)) - 29.5
    labels = 2 * (np.sqrt(x**2 + y**2 + z**2) < 25).astype(np.uint8)
    labels[np.sqrt(x**2 + (y + 10) ** 2 + (z + 17.4) ** 2) < 4] = 8
    affine = np.eye(4)
    affine[:3, :3] = turn
    head, image = Nifti1Image(labels, affine), Nifti1Image(100.0 * (labels > 0), affine)
    volumes = {"cortex": 60.0, "brainstem": 0.27, "intracranial": 65.0}
    found = measures.segmented(Segmentation(image, image, head, {"cortex": image}, volumes, head), labels > 0)
    assert found["tilt_deg"] == pytest.approx(tilt_deg, abs=2)
    assert found["stem"] == pytest.approx(0.27 / 65)


def test_nothing_found_is_no_fault():
    image, _ = ball(noise=2.0)
    nothing = Nifti1Image(np.zeros(image.shape, np.uint8), AFFINE)
    found = measures_of(image, segmentation(image, nothing, nothing))
    assert found["skull_ml"] == 0
    assert np.isnan(found["share"])


def test_displaced_and_dark_slices_are_found():
    array = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((40, 40, 20)), (3, 3, 4)) * 300 + 100
    inside = RADIUS < 16
    assert measures.displacements_mm(image_of(array), inside).max() < 0.3
    assert measures.brightness_jump(array, 2) < 0.2
    array[..., 10] = ndimage.shift(array[..., 10], (0.8, -0.6), mode="nearest")
    array[..., 6:8] *= 0.25
    assert max(measures.displacements_mm(image_of(array), inside)[3:]) == pytest.approx(1.0, abs=0.3)
    assert measures.brightness_jump(array, 2) == pytest.approx(np.log(4), abs=0.2)


def test_slices_that_are_missing_or_out_of_order_are_found():
    array = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((40, 40, 20)), (3, 3, 4)) * 300 + 100
    array[..., 6:12:2] *= 0.5  # darker ones are in order
    assert measures.largest_jump(image_of(array)) < 1.2
    assert measures.largest_jump(image_of(np.delete(array, [9, 10], axis=2))) > 1.5
    array[..., [9, 10]] = array[..., [10, 9]]
    assert measures.largest_jump(image_of(array)) > 1.2


def test_the_finest_detail_that_was_acquired():
    array, voxel_mm = np.random.default_rng(3).standard_normal((48, 64, 20), np.float32), np.array([0.8, 0.9, 3.0])
    assert measures.detail_mm(array, voxel_mm, 2) == 0.9
    waves = np.fft.fft(array, axis=0)
    waves[12:-11] = 0  # zeros were filled in: half of what the voxels could hold
    filled = np.fft.ifft(waves, axis=0).real.astype(np.float32)
    assert measures.detail_mm(filled, voxel_mm, 2) == pytest.approx(1.5, abs=0.1)


def test_the_range_of_the_coil_field_is_found():
    ramp = np.exp(np.linspace(0, 1.2, 40))[:, None, None] * np.ones((40, 40, 20))
    array = ramp * np.random.default_rng(0).uniform(0.9, 1.1, ramp.shape)
    inside = np.zeros(ramp.shape, bool)
    inside[:20] = True
    assert measures.coil_gradient(array.astype(np.float32), inside, 1.0) == pytest.approx(1.2 * 19 / 39, rel=0.05)


@pytest.mark.parametrize(
    ("flips", "axis", "degrees"),
    [
        *((flips, "x", nod) for nod in (-20, 25) for flips in ("", "xy", "xz")),
        ("yz", "x", 0),
        *(("", axis, degrees) for axis in "yz" for degrees in (12, 40, 70)),
    ],
)
def test_a_head_that_is_not_upright_is_told(flips, axis, degrees):
    x, y, z = np.meshgrid(*[np.linspace(-1.2, 1.2, 48)] * 3, indexing="ij")
    egg = (x / 0.8) ** 2 / (1 - 0.3 * y - 0.3 * z) + y**2 / (1 - 0.3 * z) + (z / 0.75) ** 2 / (1 - 0.3 * y) < 0.9
    egg = np.flip(egg, ["xyz".index(one) for one in flips]) * np.where(x < 0, 1, 2)
    points = np.argwhere(egg) @ Rotation.from_euler(axis, degrees, degrees=True).as_matrix().T
    numbers = dict.fromkeys(measures.MEASURES, float("nan")) | {"cut_cm2": 0.0} | measures.posture(points, egg[egg > 0])
    doubts, told = (rule({"cortex": 1.0}, numbers) for rule in (reasons, remarks))
    assert ["faces backwards" in one for one in doubts] == [True] * bool(flips) + [False] * (degrees == 70)
    turned = axis != "x" and degrees > 25
    assert [f"by {degrees} degrees" in one for one in doubts + told] == ([False] if flips else [True] * turned)
    assert suspicions({"cortex": 1.0}, numbers | {"lost": 0.3})[0].startswith("the brain reaches the edge")


def test_copies_of_slices_are_counted_and_empty_ones_are_not():
    array = np.random.default_rng(0).random((6, 6, 9), np.float32)
    array[..., :3] = 0
    array[..., 5:7] = array[..., 4:5]
    found = [measures.acquired(image_of(one), np.zeros(one.shape, bool))["copies"] for one in (array, array[..., 6:])]
    assert found == [2, 0]
