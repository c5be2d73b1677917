from dataclasses import replace

import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Atlas, Case, Method, MethodFailed, nearest_in_age
from segsrgan_study.baselines.methods import METHODS
from segsrgan_study.baselines.run import run
from segsrgan_study.faults import NotAvailable
from tests.study.baselines.phantoms import COARSE, atlas_of, image_of, labels_of, nifti

LABELS = labels_of((12, 12, 12), (5, 4, 3))
IMAGE = nifti(image_of(LABELS))


@pytest.fixture
def case(tmp_path):
    return Case(IMAGE, (), tmp_path / "cache", COARSE)


def method(label, **parameters):
    return Method("m", "M", lambda: "1", parameters, label, needs_atlases=False)


@pytest.fixture
def counted():
    calls = []
    return calls, method(lambda case, shift: calls.append(shift) or nifti(np.roll(LABELS, shift, 0)), shift=0)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (NotAvailable("mirtk not found"), "not run: mirtk not found"),
        (MethodFailed("M gave an empty map"), "failed: M gave an empty map"),
        (UserError("M: expected an age."), "failed: M: expected an age."),
        (ZeroDivisionError("division by\nzero"), "failed: ZeroDivisionError: division by zero"),
    ],
)
def test_a_fault_is_the_outcome(case, tmp_path, fault, text):
    def label(case):
        raise fault

    assert run(method(label), case, tmp_path / "labels") == (text, None, None)
    assert not (tmp_path / "labels").exists()


def test_labels_are_computed_once_and_again_where_their_file_is_damaged(case, tmp_path, counted):
    calls, m = counted
    first = run(m, case, tmp_path / "labels")
    outcome, labels, cost = run(m, case, tmp_path / "labels")
    assert calls == [0]
    assert outcome == "labelled"
    np.testing.assert_array_equal(np.asarray(labels.dataobj), LABELS)
    np.testing.assert_array_equal(labels.affine, case.image.affine)
    assert cost == first[2]
    assert cost.peak_mib > 10
    (entry,) = (tmp_path / "labels").glob("*.npz")
    entry.write_bytes(entry.read_bytes()[:50])
    assert run(m, case, tmp_path / "labels")[0] == "labelled"
    assert len(calls) == 2


def test_whatever_changes_the_labels_computes_them_again(case, tmp_path, counted):
    calls, m = counted
    changes = [
        (m, case),
        (m.tuned(shift=1), case),
        (replace(m, version=lambda: "2"), case),
        (m, replace(case, image=nifti(np.asarray(case.image.dataobj) + 1))),
        (m, replace(case, age_weeks=40.0)),
    ]
    for one, with_case in changes:
        run(one, with_case, tmp_path / "labels")
    assert len(calls) == len(changes)


def test_no_atlas_is_refused(case):
    with pytest.raises(UserError, match="at least one training subject"):
        METHODS["majority_vote"].run(case)


def test_other_grids_are_refused():
    with pytest.raises(UserError, match="labels of the atlas b: the grid"):
        Atlas("b", IMAGE, nifti(LABELS[1:]), IMAGE)
    with pytest.raises(UserError, match="interpolated image of the atlas b"):
        Atlas("b", IMAGE, nifti(LABELS), nifti(LABELS, spacing_mm=1.0))


def test_nearest_in_age_keeps_the_order():
    atlases = tuple(atlas_of(str(age), IMAGE, LABELS, age) for age in (40.0, 30.0, 35.0, float("nan")))
    assert [a.subject for a in nearest_in_age(atlases, 36.0, 2)] == ["40.0", "35.0"]
    assert [a.subject for a in nearest_in_age(atlases, float("nan"), 2)] == ["40.0", "30.0"]
