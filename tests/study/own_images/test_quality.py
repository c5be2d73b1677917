import numpy as np
import pandas as pd
import pytest

from segsrgan_study.own_images.quality import outliers, thick_slices
from tests.settings import model_card


@pytest.mark.parametrize(
    ("mm", "distance_mm", "says"),
    [(3.0, 3.0, ""), (2.9, 3.3, ""), (6.0, 6.0, "trained on 2 to 4 mm"), (4.0, 2.0, "2 mm apart"), (2.0, 4.0, "apart")],
)
def test_the_thickness_in_the_json_beside_an_image_counts(mm, distance_mm, says, tmp_path):
    image, card = tmp_path / "sub-01_T2w.nii.gz", model_card(thickness_mm=(2.0, 4.0))
    assert thick_slices(image, card, distance_mm) == []
    (tmp_path / "sub-01_T2w.json").write_text(f'{{"SliceThickness": {mm}}}')
    assert [says in note for note in thick_slices(image, card, distance_mm)] == ([True] if says else [])


def test_the_one_that_is_far_from_the_others_is_named():
    # by hand: median 3, absolute deviations 2 1 0 1 97, their median 1
    table = pd.DataFrame({"snr": [1.0, 2.0, 3.0, 4.0, 100.0], "cortex_ml": [70.0, 71, 69, 72, np.nan]})
    assert outliers(table) == ["", "", "", "", f"snr (z {0.6745 * 97:+.1f})"]
    assert outliers(-table)[-1] == f"snr (z {-0.6745 * 97:+.1f})"


def test_few_cases_or_equal_ones_have_no_outliers():
    for values in ([1.0, 1.1, 1.2, 90.0], [5.0] * 6 + [9.0], [np.nan] * 6):
        assert set(outliers(pd.DataFrame({"snr": values}))) == {""}
