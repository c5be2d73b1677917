import numpy as np
import pandas as pd
import pytest

from segsrgan_study.statistics.reliability import expected_error, near_truth, pooled, ranking, reliability_bins


def test_bins_by_hand_in_the_neighbourhood_of_the_structure():
    truth = np.array([[[0, 1, 0, 1]]])
    table = reliability_bins(np.array([[[0.0, 0.05, 0.31, 1.0]]]), truth, near_truth(truth, (1, 1, 1)))
    assert list(table["n_voxels"]) == [2, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert table.loc[0, ["probability_sum", "true_sum"]].tolist() == pytest.approx([0.05, 1])
    assert expected_error(table) == pytest.approx((0.95 + 0.31 + 0) / 4)
    curve = pooled(pd.concat([table, table]).assign(structure="cortex"))
    assert (curve["n_voxels"].sum(), curve["share_inside"].isna().sum()) == (8, 7)
    assert curve.loc[0, ["mean_probability", "share_inside"]].tolist() == pytest.approx([0.025, 0.5])
    truth = np.zeros((30, 1, 1))
    truth[0] = 1
    assert reliability_bins(truth, truth, near_truth(truth, (2.0, 1, 1)))["n_voxels"].sum() == 3  # 0, 2 and 4 mm away


def test_ranking_of_wrong_labels_near_the_tissue():
    truth, found = np.array([[[1, 1, 2, 0, 0]]]), np.array([[[1, 2, 2, 0, 1]]])
    near = near_truth(truth, (1, 1, 1))
    assert ranking(np.array([[[0.1, 0.4, 0.2, 0.3, 0.5]]]), truth, found, near) == 1
    assert ranking(np.array([[[0.1, 0.1, 0.1, 0.1, 0.1]]]), truth, found, near) == 0.5
    assert np.isnan(ranking(np.zeros((1, 1, 5)), truth, truth, near))
