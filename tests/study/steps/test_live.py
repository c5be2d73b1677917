import numpy as np
import pandas as pd
import pytest

from segsrgan_study.steps.network.states import LiveCurve


def test_a_curve_is_thinned_but_keeps_every_epochs_end(tmp_path):
    curve = LiveCurve(tmp_path / "a.csv", total=2000)  # every tenth step
    for step in range(1, 26):
        curve.add(step, {"loss_rec": np.float32(1 / step), **({"epoch": 3, "val_psnr": 25.0} if step == 17 else {})})
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["step"]) == [10, 17, 20]
    assert table["loss_rec"][0] == pytest.approx(0.1)
    assert table["val_psnr"].notna().sum() == 1
    assert set(table["total"]) == {2000}


def test_a_training_that_goes_on_continues_its_curve(tmp_path):
    first = LiveCurve(tmp_path / "a.csv", total=100)
    for step in range(1, 9):
        first.add(step, {"loss_rec": 1.0})
    resumed = LiveCurve(tmp_path / "a.csv", total=100)
    resumed.add(6, {"loss_rec": 2.0})  # the state was written after step 5
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["step"]) == [1, 2, 3, 4, 5, 6]
    assert list(table["loss_rec"]) == [1, 1, 1, 1, 1, 2]


def test_a_training_that_begins_anew_starts_another(tmp_path):
    LiveCurve(tmp_path / "a.csv", total=100).add(50, {"loss_rec": 1.0})
    LiveCurve(tmp_path / "a.csv", total=100).add(1, {"loss_rec": 2.0})
    assert list(pd.read_csv(tmp_path / "a.csv")["step"]) == [1]
