import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Atlas, Case, Method, MethodFailed, nearest_in_age
from segsrgan_study.baselines.methods import METHODS
from tests.study.baselines.phantoms import COARSE, atlas_of, image_of, labels_of, nifti

LABELS = labels_of()
IMAGE = nifti(image_of(LABELS))


@pytest.mark.parametrize("labels", [np.zeros_like(LABELS), np.full_like(LABELS, 77), LABELS[1:]])
def test_a_result_that_cannot_be_used_is_a_failure(tmp_path, labels):
    with pytest.raises(MethodFailed, match="M gave"):
        Method("m", "M", lambda: "1", {}, lambda case: nifti(labels)).run(Case(IMAGE, (), tmp_path, COARSE))


def test_no_atlas_is_refused(tmp_path):
    with pytest.raises(UserError, match="at least one training subject"):
        METHODS["majority_vote"].run(Case(IMAGE, (), tmp_path, COARSE))


def test_other_grids_are_refused():
    with pytest.raises(UserError, match="labels of the atlas b: the grid"):
        Atlas("b", IMAGE, nifti(LABELS[1:]), IMAGE)
    with pytest.raises(UserError, match="interpolated image of the atlas b"):
        Atlas("b", IMAGE, nifti(LABELS), nifti(LABELS, spacing_mm=1.0))


def test_nearest_in_age_keeps_the_order():
    atlases = tuple(atlas_of(str(age), IMAGE, LABELS, age) for age in (40.0, 30.0, 35.0, float("nan")))
    assert [a.subject for a in nearest_in_age(atlases, 36.0, 2)] == ["40.0", "35.0"]
    assert [a.subject for a in nearest_in_age(atlases, float("nan"), 2)] == ["40.0", "30.0"]
