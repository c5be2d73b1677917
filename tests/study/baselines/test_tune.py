import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Method
from segsrgan_study.baselines.methods import METHODS
from segsrgan_study.baselines.tune import GRIDS, tune
from tests.study.baselines.phantoms import COARSE, atlas_of, image_of, labels_of, nifti

LABELS = labels_of((12, 12, 12), (5, 4, 3))
IMAGE = nifti(image_of(LABELS))
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
