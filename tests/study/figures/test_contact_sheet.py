from dataclasses import replace

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_core.segmenter import Segmentation
from segsrgan_study.figures import contact_sheet
from segsrgan_study.figures.views import PLANES, view_of
from tests.study.figures.test_panels import drawn


@pytest.fixture
def result(images):
    truth, labels = images["truth"], images["labels"]
    cortex = Nifti1Image(np.where(np.asarray(labels.dataobj) == 2, 2, 0).astype(np.uint8), labels.affine)
    return Segmentation(images["spline"], truth, cortex, {"cortex": truth}, {"cortex": 10.0})


def red(picture):
    pixels = np.asarray(picture, int)
    return pixels[..., 0] - pixels[..., 1]


def columns(picture):
    """The six columns of panels, without titles and legend."""
    return np.split(red(picture)[: -contact_sheet.BELOW // contact_sheet.FINER, 6:-6], 6, axis=1)


def test_the_input_the_image_and_contours_on_slices_apart(result):
    found = [column.sum() for column in columns(contact_sheet.draw(result, "sub-01"))]
    assert found[:2] == [0, 0]
    assert len(set(found)) == 5
    empty = Nifti1Image(np.zeros_like(np.asarray(result.labels.dataobj)), result.labels.affine)
    assert not any(column.any() for column in columns(contact_sheet.draw(replace(result, labels=empty), "sub-01")))


@pytest.mark.parametrize("plane", PLANES)
def test_a_panel_is_that_of_other_figures_with_a_contour_around_the_tissue(result, plane):
    view, lines = view_of(result.image), contact_sheet.outlines(result)
    size = np.array(view.size_mm(plane))
    height = round(contact_sheet.WIDTH * size[1] / size[0])
    plain, lined = (contact_sheet.panel(result.image, plane, view, height, some) for some in ({}, lines))
    width, height = np.round(150 * size / size.max()).astype(int)  # in a square of 150 pixels, in the middle
    other = drawn(result.image, plane, view)[(150 - height) // 2 :, (150 - width) // 2 :][:height, :width]
    small = np.asarray(plain.convert("L").resize((width, height)))
    assert np.corrcoef(small[:, 10:-10].ravel(), other[:, 10:-10].ravel())[0, 1] > 0.97  # marks are at the sides
    tissue = lines["cortex"].labels.plane(plane, view.position_mm).T == 2
    for axis in (0, 1):
        found = np.flatnonzero((red(lined) > 0).any(axis=axis)) / lined.size[axis] * size[axis]
        assert np.ptp(found) == pytest.approx(1.5 * tissue.any(axis=axis).sum(), abs=1.5)


def test_specks_do_not_move_the_slices(result):
    labels = np.asarray(result.labels.dataobj).copy()
    labels[0, 0, 0] = labels[-1, -1, -1] = 2
    strays = replace(result, labels=Nifti1Image(labels, result.labels.affine))
    np.testing.assert_array_equal(*(np.asarray(contact_sheet.draw(one, "sub-01")) for one in (result, strays)))


def test_every_class_and_a_known_hemisphere_have_a_colour_of_their_own(result):
    left = np.zeros(result.image.shape, np.uint8)
    left[:20] = 1
    names = [name for name in NUMBERS if name != "background"]
    sides, probabilities = Nifti1Image(left, result.image.affine), dict.fromkeys(names, result.image)
    lines = contact_sheet.outlines(replace(result, sides=sides, probabilities=probabilities))
    assert list(lines) == [*(name.replace("_", " ") for name in names), "left hemisphere"]
    assert len({line.hue for line in lines.values()}) == len(lines) == 9
    assert lines["cortex"].hue == contact_sheet.CORTEX
