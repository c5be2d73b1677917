import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.case import Method
from segsrgan_study.baselines.methods import METHODS
from segsrgan_study.baselines.tune import GRIDS, as_table, tune
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


def test_the_best_of_each_parameter_is_kept(tmp_path):
    result = tune(METHOD, SUBJECTS, tmp_path, COARSE, {"shift": (0, 1, 2, 3), "side": (0, 1)})
    assert result["chosen"] == {"shift": 2, "side": 1}
    assert max(run["dice"] for run in result["tried"]) == 1.0
    assert [run["parameters"] for run in result["tried"]] == [
        {"shift": 0, "side": 0},
        {"shift": 1, "side": 0},
        {"shift": 2, "side": 0},
        {"shift": 3, "side": 0},
        {"shift": 2, "side": 1},
    ]
    assert set(result["tried"][0]["dice_by_subject"]) == {"a", "b", "c"}


def test_a_subject_is_never_its_own_atlas_and_the_nearest_in_age_are_taken(tmp_path):
    SEEN.clear()
    result = tune(METHOD, SUBJECTS, tmp_path, COARSE, {}, n_atlases=1)
    assert SEEN == [["b"], ["a"], ["b"]]
    assert list(result["tried"][0]["dice_by_subject"]) == ["a", "b", "c"]
    two = tune(METHOD, SUBJECTS, tmp_path, COARSE, {}, n_targets=2)
    assert list(two["tried"][0]["dice_by_subject"]) == ["a", "c"]


def test_the_table_has_a_row_a_run(tmp_path):
    table = as_table(tune(METHOD, SUBJECTS, tmp_path, COARSE, {"shift": (1, 2)}))
    assert table.columns.tolist() == ["shift", "dice", "dice_a", "dice_b", "dice_c"]
    assert table["shift"].tolist() == [0, 1, 2]
    assert table["dice"].is_monotonic_increasing


def test_every_grid_names_parameters_of_its_method():
    for name, grid in GRIDS.items():
        assert set(grid) <= set(METHODS[name].parameters)


def test_what_cannot_be_tuned_is_refused(tmp_path):
    with pytest.raises(UserError, match="1 training subjects; two"):
        tune(METHOD, SUBJECTS[:1], tmp_path, COARSE)
    with pytest.raises(UserError, match="there is no cortical"):
        tune(METHOD, SUBJECTS, tmp_path, COARSE, tissues=("cortical",))
