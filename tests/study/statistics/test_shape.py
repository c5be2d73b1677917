import numpy as np
import pandas as pd
import pytest

from segsrgan_study.statistics.truth import COLUMNS, against_truth, by_hemisphere, shape_agreement


def test_hemispheres_of_images_are_counted_one_by_one():
    table = pd.DataFrame([dict.fromkeys(COLUMNS, 1.0) | {"subject": "a", "right_depth_mm": np.nan}])
    long = by_hemisphere(table)
    assert len(long) == len(COLUMNS) - 1
    assert set(long["side"]) == {"left", "right"}
    assert len(by_hemisphere(table[["subject"]])) == 0  # a network that does not know white matter


def test_shapes_of_the_scores_stand_beside_the_true_ones():
    who = {"subject": "a", "method": "segsrgan", "structure": "left_hemisphere"}
    metrics = {"area_cm2": 95.0, "true_area_cm2": 100.0, "true_depth_mm": 3.0, "dice": 0.9}
    pairs = against_truth(pd.DataFrame([who | {"metric": name, "value": x} for name, x in metrics.items()]))
    expected = {"subject": "a", "side": "left", "measure": "area_cm2", "found": 95.0, "true": 100.0}
    assert pairs.to_dict("records") == [expected]


def test_agreement_of_known_shapes():
    pairs = pd.DataFrame({"subject": list("aabb"), "side": ["left", "right"] * 2, "measure": "thickness_mm"})
    pairs = pairs.assign(true=[1.0, 1.5, 2.0, 2.5], found=[1.1, 1.65, 2.2, 2.75])
    echoes = pd.DataFrame({"subject": "p", "side": "left", "measure": "thickness_mm", "value": [1.0, 1.1, 0.9]})
    (found,) = shape_agreement(pairs, echoes).to_dict("records")
    expected = {"n": 4, "ratio": 1.1, "error": 0.1, "correlation": 1, "cv_over_te": 0.1}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert np.isnan(shape_agreement(pairs, echoes[:0])["cv_over_te"].item())
