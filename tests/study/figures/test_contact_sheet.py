from dataclasses import replace

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

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
    assert [axes[i].get_title() for i in (0, 2)] == ["interpolated input", "cortex"]


def test_specks_do_not_move_the_slices(result):
    labels = np.asarray(result.labels.dataobj).copy()
    labels[0, 0, 0] = labels[-1, -1, -1] = 2
    strays = replace(result, labels=Nifti1Image(labels, result.labels.affine))
    for ax, other in zip(*(contact_sheet.draw(one, "sub-01").axes for one in (result, strays)), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), other.images[0].get_array())


def test_nothing_segmented_is_drawn_all_the_same(result):
    empty = Nifti1Image(np.zeros_like(np.asarray(result.labels.dataobj)), result.labels.affine)
    assert not any(outlined(ax) for ax in contact_sheet.draw(replace(result, labels=empty), "sub-01").axes)


def test_every_class_and_a_known_hemisphere_have_a_colour_of_their_own(result):
    left = np.zeros(result.image.shape, np.uint8)
    left[:20] = 1
    classes = dict.fromkeys(["cortex", "white", "csf"], result.image)
    both = replace(result, sides=Nifti1Image(left, result.image.affine), probabilities=classes)
    titles = [ax.title for ax in contact_sheet.draw(both, "sub-01").axes[2:6]]
    assert [title.get_text() for title in titles] == ["cortex", "white", "csf", "left hemisphere"]
    assert len({title.get_color() for title in titles}) == 4
    assert titles[0].get_color() == contact_sheet.CORTEX
