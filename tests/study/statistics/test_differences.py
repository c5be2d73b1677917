import numpy as np
import pandas as pd
import pytest

from segsrgan_study.statistics.truth import found_differences, volume_shares

TRUE_ML = {"a": 60.0, "b": 80.0, "c": 100.0, "d": 150.0}


def differing() -> pd.DataFrame:
    """Return the long table of scores of a method that finds half of each difference, and of one that finds none."""
    rows = [("a", "segsrgan", "intracranial", "volume_true_ml", 400.0)]
    for subject, ml in TRUE_ML.items():
        for method, found in (("segsrgan", 100 * (ml / 100) ** 0.5), ("imapa", 90.0)):
            rows += [(subject, method, "cortex", "volume_true_ml", ml), (subject, method, "cortex", "volume_ml", found)]
    rows += [(subject, "segsrgan", "intracranial", "volume_true_ml", 400.0) for subject in "bcd"]
    return pd.DataFrame(rows, columns=["subject", "method", "structure", "metric", "value"])


def test_the_slope_tells_how_much_of_a_difference_is_found():
    shares = volume_shares(differing(), "cortex")
    assert sorted(shares.loc[shares["method"] == "imapa", "true"]) == [ml / 400 for ml in TRUE_ML.values()]
    found = found_differences(shares)
    assert found["segsrgan"]["slope"] == pytest.approx(0.5)
    assert found["segsrgan"]["ci95"] == pytest.approx([0.5, 0.5], abs=1e-6)
    assert found["segsrgan"]["error_sd"] == pytest.approx(np.log(list(TRUE_ML.values())).std(ddof=1) / 2)
    assert found["imapa"]["slope"] == pytest.approx(0.0, abs=1e-12)


def test_too_few_volumes_give_no_slope():
    scores = differing()
    assert found_differences(volume_shares(scores[scores["subject"].isin(["a", "b"])], "cortex")) == {}
    nothing = scores["value"].where(scores["metric"] != "volume_ml", 0.0)  # found nowhere
    assert found_differences(volume_shares(scores.assign(value=nothing), "cortex"))["imapa"] == {"n": 0}
    alone = scores[scores["structure"] == "cortex"]  # no skull is known: millilitres
    assert found_differences(volume_shares(alone, "cortex"))["segsrgan"]["slope"] == pytest.approx(0.5)
