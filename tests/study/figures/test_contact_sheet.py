from dataclasses import replace

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.classes import NUMBERS
from segsrgan_core.segmenter import Segmentation
from segsrgan_study.figures import contact_sheet


@pytest.fixture
def result(images):
    truth, labels = images["truth"], images["labels"]
    cortex = Nifti1Image(np.where(np.asarray(labels.dataobj) == 2, 2, 0).astype(np.uint8), labels.affine)
    return Segmentation(images["spline"], truth, cortex, {"cortex": truth}, {"cortex": 10.0})


def outlined(ax):
    return [c for c in ax.collections if len(c.get_paths())]


def test_three_planes_with_input_image_and_contours_on_slices_apart(result):
    axes = contact_sheet.draw(result, "sub-01").axes
    assert len(axes) == 3 * 6
    for row in (axes[i : i + 6] for i in (0, 6, 12)):
        assert [len(outlined(ax)) > 0 for ax in row] == [False] * 2 + [True] * 4
        assert (row[2].images[0].get_array() != row[3].images[0].get_array()).any()
    assert axes[0].get_title() == "interpolated input"
    empty = Nifti1Image(np.zeros_like(np.asarray(result.labels.dataobj)), result.labels.affine)
    assert not any(outlined(ax) for ax in contact_sheet.draw(replace(result, labels=empty), "sub-01").axes)


def test_specks_do_not_move_the_slices(result):
    labels = np.asarray(result.labels.dataobj).copy()
    labels[0, 0, 0] = labels[-1, -1, -1] = 2
    strays = replace(result, labels=Nifti1Image(labels, result.labels.affine))
    for ax, other in zip(*(contact_sheet.draw(one, "sub-01").axes for one in (result, strays)), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), other.images[0].get_array())


def test_every_class_and_a_known_hemisphere_have_a_colour_of_their_own(result):
    left = np.zeros(result.image.shape, np.uint8)
    left[:20] = 1
    names = [name for name in NUMBERS if name != "background"]
    sides, probabilities = Nifti1Image(left, result.image.affine), dict.fromkeys(names, result.image)
    (legend,) = contact_sheet.draw(replace(result, sides=sides, probabilities=probabilities), "sub-01").legends
    texts = {text.get_text(): text.get_color() for text in legend.get_texts()}
    assert list(texts) == [*(name.replace("_", " ") for name in names), "left hemisphere"]
    assert len(set(texts.values())) == len(texts) == 9
    assert texts["cortex"] == contact_sheet.CORTEX
