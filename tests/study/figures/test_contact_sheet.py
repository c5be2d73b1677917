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


def test_three_planes_with_input_image_and_contours(result):
    axes = contact_sheet.draw(result, "sub-01").axes
    assert len(axes) == 3 * 6
    rows = [axes[i : i + 6] for i in (0, 6, 12)]
    for row in rows:
        assert not any(outlined(ax) for ax in row[:2])
        assert all(outlined(ax) for ax in row[2:])
    assert axes[0].get_title() == "interpolated input"
    assert axes[2].get_title() == "cortex"


def test_slices_with_contours_lie_apart(result):
    row = contact_sheet.draw(result, "sub-01").axes[2:6]
    pictures = [ax.images[0].get_array() for ax in row]
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[2] != pictures[3]).any()


def test_specks_do_not_move_the_slices(result):
    labels = np.asarray(result.labels.dataobj).copy()
    labels[0, 0, 0] = labels[-1, -1, -1] = 2
    strays = replace(result, labels=Nifti1Image(labels, result.labels.affine))
    for ax, other in zip(*(contact_sheet.draw(one, "sub-01").axes for one in (result, strays)), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), other.images[0].get_array())


def test_nothing_segmented_is_drawn_all_the_same(result):
    empty = Nifti1Image(np.zeros_like(np.asarray(result.labels.dataobj)), result.labels.affine)
    nothing = replace(result, labels=empty)
    assert not any(outlined(ax) for ax in contact_sheet.draw(nothing, "sub-01").axes)


def test_hemispheres_are_outlined_where_they_are_known(result):
    left = np.zeros(result.image.shape, np.uint8)
    left[:20] = 1
    both = replace(result, sides=Nifti1Image(left, result.image.affine), volumes_ml={"cortex": 9.0, "left_cortex": 4.0})
    axes = contact_sheet.draw(both, "sub-01").axes
    assert [ax.get_title() for ax in axes[2:4]] == ["cortex", "left hemisphere"]
    assert len(outlined(axes[3])) == 2


def test_the_same_case_gives_the_same_bytes(result, tmp_path):
    files = [contact_sheet.write(result, "sub-01", tmp_path / f"{i}.png") for i in (0, 1)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_every_class_has_a_colour_of_its_own():
    found = contact_sheet.colors(["cortex", "white", "csf", "ventricles"])
    assert len(set(found.values())) == 4
    assert found["cortex"] == contact_sheet.CORTEX
