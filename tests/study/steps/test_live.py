import numpy as np
import pandas as pd
import pytest

from segsrgan_study.steps.network.fit import LiveCurve


def test_a_curve_is_thinned_but_keeps_every_epochs_end(tmp_path):
    curve = LiveCurve(tmp_path / "a.csv", total=2000)  # every tenth step
    for step in range(1, 26):
        curve.add(step, {"loss_rec": np.float32(1 / step), **({"epoch": 3, "val_psnr": 25.0} if step == 17 else {})})
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["step"]) == [10, 17, 20]
    assert table["loss_rec"][0] == pytest.approx(0.1)
    assert table["val_psnr"].notna().sum() == 1
    assert set(table["total"]) == {2000}


@pytest.mark.parametrize(("again", "steps"), [(6, [1, 2, 3, 4, 5, 6]), (1, [1])])
def test_a_training_that_goes_on_continues_its_curve_and_one_that_begins_anew_starts_another(tmp_path, again, steps):
    first, resumed = (LiveCurve(tmp_path / "a.csv", total=100) for _ in range(2))
    for step in range(1, 9):
        first.add(step, {"loss_rec": 1.0})
    resumed.add(again, {"loss_rec": 2.0})  # the state was written after the step before
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table["step"]) == steps
    assert list(table["loss_rec"]) == [1] * (len(steps) - 1) + [2]
