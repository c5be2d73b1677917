import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Atlas, Case, Method, MethodFailed, nearest_in_age
from segsrgan_study.baselines.methods import METHODS
from tests.study.baselines.phantoms import COARSE, atlas_of, image_of, labels_of, nifti

LABELS = labels_of()
IMAGE = nifti(image_of(LABELS))


def case(tmp_path, **changes):
    given = {"image": IMAGE, "atlases": (atlas_of("a", IMAGE, LABELS),), "cache": tmp_path}
    return Case(registration=COARSE, **{**given, **changes})


def method(label, **parameters):
    return Method("m", "M", lambda: "1", parameters, label)


def test_every_method_is_registered_under_its_name():
    assert list(METHODS) == [m.name for m in METHODS.values()]
    assert {"imapa", "joint_label_fusion", "drawem", "drawem_style_em", "atropos", "majority_vote"} <= set(METHODS)
    assert not any(m.title == "DrawEM" for m in METHODS.values() if m.name != "drawem")


@pytest.mark.parametrize("labels", [np.zeros_like(LABELS), np.full_like(LABELS, 77), LABELS[1:]])
def test_a_result_that_cannot_be_used_is_a_failure(tmp_path, labels):
    with pytest.raises(MethodFailed, match="M gave"):
        method(lambda case: nifti(labels)).run(case(tmp_path))


def test_no_atlas_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no atlas"):
        method(lambda case: nifti(LABELS)).run(case(tmp_path, atlases=()))


def test_other_grids_are_refused():
    with pytest.raises(UserError, match="labels of the atlas b: the grid"):
        Atlas("b", IMAGE, nifti(LABELS[1:]), IMAGE)
    with pytest.raises(UserError, match="interpolated image of the atlas b"):
        Atlas("b", IMAGE, nifti(LABELS), nifti(LABELS, spacing_mm=1.0))


def test_parameters_change_by_name(tmp_path):
    changed = method(lambda case, k: nifti(np.where(LABELS, k, 0).astype(np.uint8)), k=1).tuned(k=2)
    assert np.asarray(changed.run(case(tmp_path)).dataobj).max() == 2
    with pytest.raises(UserError, match="there is no parameter 'K'"):
        changed.tuned(K=3)


def test_nearest_in_age_keeps_the_order():
    atlases = tuple(atlas_of(str(age), IMAGE, LABELS, age) for age in (40.0, 30.0, 35.0, float("nan")))
    assert [a.subject for a in nearest_in_age(atlases, 36.0, 2)] == ["40.0", "35.0"]
    assert [a.subject for a in nearest_in_age(atlases, float("nan"), 2)] == ["40.0", "30.0"]
