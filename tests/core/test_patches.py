import dataclasses

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import Classes
from segsrgan_core.imaging.geometry import resample_like
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.patches import ORDINARY, draw_patch, patch_dataset, prepare_subject
from tests.settings import simulation, training

CORTEX = Classes(("cortex",))
THREE_MM = simulation(slice_mm=3.0)
PLAIN = training(patch=16, contrast=0, noise=0, flips=[])


@pytest.fixture(scope="module")
def subject():
    image = (100 * np.random.default_rng(0).random((24, 26, 40)) ** 2).astype(np.float32)
    return prepare_subject("s", image, 2 * (image > 50).astype(np.uint8), CORTEX, 0.8, THREE_MM, 16, seed=0)


def test_patches_are_centred_near_labels(subject):
    assert subject.labels[tuple(subject.centres.T)].all()


def test_a_patch_is_a_function_of_seed_and_number(subject):
    def stream(seed, start, number):
        patches = patch_dataset([subject], training(patch=16), THREE_MM, CORTEX, False, seed, start)
        return [x.numpy() for x, _ in patches.take(number)]

    first = stream(7, 0, 4)
    np.testing.assert_array_equal(first[2:], stream(7, 2, 2))
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], stream(8, 0, 1)[0])


def test_the_thickness_of_each_patch_is_drawn_and_told(subject):
    settings = training(patch=16, thickness_mm=(2.0, 4.0))
    draws = [draw_patch([subject], settings, THREE_MM, CORTEX, True, np.random.default_rng(n))[0] for n in range(3)]
    told = [np.unique(x[..., 1]) for x in draws]
    assert 2.0 <= min(told) < max(told) <= 4.0


def test_an_image_smaller_than_a_patch_is_mirrored():
    image = np.random.default_rng(0).random((10, 12, 20)).astype(np.float32)
    subject = prepare_subject("s", image, 2 * (image > 0.5).astype(np.uint8), CORTEX, 0.8, THREE_MM, 16, seed=0)
    assert subject.image.shape == (16, 16, 20)
    assert draw_patch([subject], PLAIN, THREE_MM, CORTEX, False, np.random.default_rng(0))[0].shape == (16, 16, 16, 1)


def test_only_the_named_axes_are_mirrored():
    x, y, z = np.meshgrid(*[np.arange(16.0)] * 3, indexing="ij")
    image = (1 + x + 20 * y + 400 * z).astype(np.float32)
    subject = prepare_subject("s", image, np.full(image.shape, 2, np.uint8), CORTEX, 0.8, THREE_MM, 16, seed=0)
    settings = PLAIN.model_copy(update={"flips": ["x", "z"], "contrast_model": "none"})
    signs = set()
    for number in range(40):
        _, truth = draw_patch([subject], settings, THREE_MM, CORTEX, False, np.random.default_rng(number))
        signs.add(tuple(np.sign(np.diff(truth[..., 0], axis=axis).mean()) for axis in range(3)))
    assert signs == {(a, 1, c) for a in (1, -1) for c in (1, -1)}


def test_physics_changes_the_contrast_of_truth_and_input_alike():
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(1, 4, (6, 6, 8)), 4, 0).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    image = np.array([0, 1.0, 0.4, 0.6], np.float32)[labels]
    subject = prepare_subject("s", image, labels, CORTEX, 0.8, THREE_MM, 16, 0)
    settings = PLAIN.model_copy(update={"contrast_model": "physics", "physics_share": 1.0})
    ratios = []
    for number in range(6):
        x, y = draw_patch([subject], settings, THREE_MM, CORTEX, False, np.random.default_rng(number))
        ratios.append(np.median(y[..., 0][y[..., 1] == 1]) / y[..., 0].max())
        assert np.corrcoef(x[..., 0].mean(2).ravel(), y[..., 0].mean(2).ravel())[0, 1] > 0.9
    assert np.ptp(ratios) > 0.1


def test_disturbances_change_the_input_and_keep_the_truths_labels(subject):
    plain_x, plain_y = draw_patch([subject], PLAIN, THREE_MM, CORTEX, False, np.random.default_rng(5))
    for change in ({"blur": 1.0}, {"bias": 0.3}, {"motion_mm": 3.0}, {"stripped": 1.0}):
        x, y = draw_patch([subject], PLAIN.model_copy(update=change), THREE_MM, CORTEX, False, np.random.default_rng(5))
        assert not np.allclose(x, plain_x, atol=1e-3), change
        np.testing.assert_array_equal(y[..., 1], plain_y[..., 1])
        # Motion is a fault of the acquisition alone; the others change the head that is imaged.
        assert np.allclose(y[..., 0], plain_y[..., 0], atol=1e-3) == ("motion_mm" in change)


def test_an_ordinary_patch_is_not_disturbed(subject):
    wild = {"turned": 1.0, "motion_mm": 3.0, "gaps": 0.4, "noise": 0.5, "thickness_mm": (2.0, 5.0)}
    drawn = [
        draw_patch([subject], PLAIN.model_copy(update=change), THREE_MM, CORTEX, True, np.random.default_rng(5))[0]
        for change in (wild | {"ordinary": 1.0}, wild | ORDINARY | {"ordinary": 1.0}, wild)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], drawn[2], atol=0.01)


class LastVoxel(np.random.Generator):
    """Draws of which the place in the window is always the last voxel."""

    def integers(self, high: int) -> int:
        return high - 1


@pytest.mark.parametrize(
    ("plane", "profile", "thickness", "distance", "names", "hemispheres", "told"),
    [
        ("axial", "gaussian", 3.0, None, ("cortex",), False, False),
        ("coronal", "gaussian", 3.0, None, ("cortex", "white"), True, True),
        ("sagittal", "gaussian", 4.1, 5.0, ("cortex",), True, False),
        ("axial", "box", 2.4, None, ("cortex", "white"), False, True),
        ("coronal", "box", 4.1, 2.0, ("white",), True, False),
        ("sagittal", "box", 3.0, None, ("cortex", "csf", "white"), True, True),
    ],
)
@pytest.mark.parametrize(("mirrored", "first"), [(False, 0), (True, 0), (False, 9)])
def test_a_patch_without_augmentation_is_a_window_of_the_prepared_case(
    plane, profile, thickness, distance, names, hemispheres, told, mirrored, first
):
    rng = np.random.default_rng(3)
    labels = np.repeat(rng.integers(1, 4, (10, 11, 12)), 4, 0).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    image = Nifti1Image(rng.random(labels.shape, np.float32) + labels, np.diag([-0.8, 0.8, 0.8, 1]))
    truth = np.asarray(image.dataobj)
    sides = np.where(np.arange(40) < 20, 1, 2)[:, None, None] * (labels != 1)
    classes = Classes(names, hemispheres)
    acquisition = simulation(slice_mm=thickness, distance_mm=distance, plane=plane, profile=profile)
    scale = intensity_scale(np.asarray(resample_like(acquisition.slices(image), image).dataobj))
    subject = prepare_subject("s", truth, labels, classes, 0.8, acquisition, 16, 0, sides.astype(np.uint8))
    corner = np.array([9, 13, 17])
    corner[acquisition.axis] = first
    # Before a window that does not begin where the case does, the stack may begin with any voxel of the first slice.
    phase = np.zeros(3, int)
    phase[acquisition.axis] = min(first, int(acquisition.step_mm / 0.8))
    case = image.slicer[tuple(slice(start, None) for start in phase)]
    interpolated = np.asarray(resample_like(acquisition.slices(case), case).dataobj)
    of_case, window = (tuple(slice(start, start + 16) for start in place) for place in (corner - phase, corner))
    only = dataclasses.replace(subject, centres=corner[None] + 15)
    settings = training(patch=16, contrast_model="none", noise=0.0, flips=["x"] if mirrored else [])
    found = set()
    for number in range(12):
        x, y = draw_patch([only], settings, acquisition, classes, told, LastVoxel(np.random.PCG64(number)))
        flipped = mirrored and not np.allclose(y[..., 0], truth[window] / scale)
        axes, seen = ((0,), (3 - sides[window]) % 3) if flipped else ((), sides[window])
        np.testing.assert_allclose(x[..., 0], np.flip(interpolated[of_case] / scale, axes), atol=2e-5)
        np.testing.assert_allclose(y[..., 0], np.flip(truth[window] / scale, axes), atol=1e-6)
        np.testing.assert_array_equal(y[..., 1:], np.flip(classes.one_hot(labels[window], seen), axes))
        assert not told or np.all(x[..., 1] == acquisition.step_mm)
        found.add(flipped)
    assert found == ({False, True} if mirrored else {False})


def test_planes_distances_and_turned_heads_are_drawn_per_patch():
    x, y, z = (grid - 23.5 for grid in np.meshgrid(*[np.arange(48.0)] * 3, indexing="ij"))
    labels = (2 * (np.sqrt((x / 2) ** 2 + y**2 + z**2) < 11)).astype(np.uint8)
    subject = prepare_subject("s", 0.2 + labels.astype(np.float32), labels, CORTEX, 0.8, THREE_MM, 16, seed=0)
    changes = {"planes": ["axial", "coronal", "sagittal"], "gaps": 0.2, "thickness_mm": (3.0, 3.0)}
    smooth, distances, agreement = set(), set(), []
    for number in range(40):
        settings = PLAIN.model_copy(update={**changes, "turned": float(number % 2)})
        x, y = draw_patch([subject], settings, THREE_MM, CORTEX, True, np.random.default_rng(number))
        smooth.add(int(np.argmin([np.abs(np.diff(x[..., 0], 2, axis)).mean() for axis in range(3)])))
        distances.add(float(x[0, 0, 0, 1]))
        agreement.append(np.corrcoef(y[..., 0].ravel(), y[..., 1].ravel())[0, 1] if 0 < y[..., 1].mean() < 1 else 1)
        assert np.abs(y[..., 0] - x[..., 0]).mean() < 0.5
    assert smooth == {0, 1, 2}
    assert 2.4 <= min(distances) < 3 < max(distances) <= 3.6
    assert min(agreement) > 0.8  # labels are turned as the image is
