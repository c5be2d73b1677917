from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Atlas, Case, Method, MethodFailed, nearest_in_age
from segsrgan_study.baselines.methods import METHODS, run
from segsrgan_study.baselines.tune import GRIDS, tune
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
    assert run(method(Mock(side_effect=fault)), case, tmp_path / "labels") == (text, None, None)
    assert not (tmp_path / "labels").exists()


def test_labels_are_computed_once_and_again_where_their_file_is_damaged(case, tmp_path, counted):
    calls, m = counted
    first = run(m, case, tmp_path / "labels")
    outcome, labels, seconds = run(m, case, tmp_path / "labels")
    assert calls == [0]
    assert outcome == "labelled"
    np.testing.assert_array_equal(np.asarray(labels.dataobj), LABELS)
    np.testing.assert_array_equal(labels.affine, case.image.affine)
    assert seconds == first[2]
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


def test_no_atlas_and_atlases_of_other_grids_are_refused(case):
    with pytest.raises(UserError, match="at least one training subject"):
        METHODS["majority_vote"].run(case)
    with pytest.raises(UserError, match="labels of the atlas b: the grid"):
        Atlas("b", IMAGE, nifti(LABELS[1:]), IMAGE)
    with pytest.raises(UserError, match="interpolated image of the atlas b"):
        Atlas("b", IMAGE, nifti(LABELS), nifti(LABELS, spacing_mm=1.0))


def test_nearest_in_age_keeps_the_order():
    atlases = tuple(atlas_of(str(age), IMAGE, LABELS, age) for age in (40.0, 30.0, 35.0, float("nan")))
    assert [a.subject for a in nearest_in_age(atlases, 36.0, 2)] == ["40.0", "35.0"]
    assert [a.subject for a in nearest_in_age(atlases, float("nan"), 2)] == ["40.0", "30.0"]


SUBJECTS = [atlas_of(name, IMAGE, LABELS, age) for name, age in (("a", 30.0), ("b", 34.0), ("c", 40.0))]
SEEN = []


def worse_away_from(case, shift, side):
    """Labels moved by |shift - 2| + |side - 1| voxels: best at shift 2 and side 1."""
    SEEN.append([atlas.subject for atlas in case.atlases])
    return nifti(np.roll(LABELS, abs(shift - 2) + abs(side - 1), axis=0))


METHOD = Method("m", "M", lambda: "1", {"shift": 0, "side": 0}, worse_away_from)


def search(monkeypatch, tmp_path, grid, subjects=SUBJECTS, **options):
    monkeypatch.setitem(GRIDS, "m", grid)
    return tune(METHOD, subjects, tmp_path, COARSE, ("cortex",), **options)


def test_the_best_of_each_parameter_is_kept(monkeypatch, tmp_path):
    chosen, table = search(monkeypatch, tmp_path, {"shift": (0, 1, 2, 3), "side": (0, 1)})
    assert chosen == {"shift": 2, "side": 1}
    assert table.columns.tolist() == ["shift", "side", "dice", "dice_a", "dice_b", "dice_c"]
    assert table[["shift", "side"]].to_numpy().tolist() == [[0, 0], [1, 0], [2, 0], [3, 0], [2, 1]]
    assert table["dice"].idxmax() == 4
    assert table["dice"].max() == 1


def test_a_subject_is_never_its_own_atlas_and_the_nearest_in_age_are_taken(monkeypatch, tmp_path):
    SEEN.clear()
    search(monkeypatch, tmp_path, {}, n_atlases=1)
    assert SEEN == [["b"], ["a"], ["b"]]
    _, table = search(monkeypatch, tmp_path, {}, n_targets=2)
    assert table.columns.tolist() == ["dice", "dice_a", "dice_c"]


def test_every_grid_names_parameters_of_its_method():
    for name, grid in GRIDS.items():
        assert set(grid) <= set(METHODS[name].parameters)


def test_what_cannot_be_tuned_is_refused(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="1 training subjects; two"):
        search(monkeypatch, tmp_path, {}, SUBJECTS[:1])
    with pytest.raises(UserError, match="cortical"):
        tune(METHOD, SUBJECTS, tmp_path, COARSE, ("cortical",))
