import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segsrgan_study.statistics.summary import describe, paired_test, summarise, with_methods


@pytest.fixture(scope="module")
def summary(scores):
    """Of the scores, those of another method, and a metric that is not summarised."""
    dice = scores[scores["metric"] == "dice"]
    jlf = dice[dice["method"] == "imapa"].assign(method="jlf")
    return summarise(pd.concat([scores, jlf, dice.assign(metric="volume_ml")]))


def test_methods_without_scores_have_an_entry_with_the_reason(summary):
    methods = {"drawem": {"title": "DrawEM"}, "imapa": {"title": "IMAPA"}, "jlf": {"title": "JLF"}}
    filled = with_methods(summary, methods, {"drawem": "not run: x", "imapa": "sub-9 failed: y"}, ["cortex", "white"])
    assert filled["methods"]["drawem"] == {"title": "DrawEM", "reason": "not run: x"}
    assert filled["methods"]["jlf"] == {"title": "JLF"}
    nothing = {"mean": None, "sd": None, "n": 0, "ci95": None, "reason": "not run: x"}
    assert filled["dice"]["cortex"]["drawem"] == filled["hd95_mm"]["white"]["drawem"] == nothing
    assert filled["dice"]["cortex"]["imapa"] == {**summary["dice"]["cortex"]["imapa"], "reason": "sub-9 failed: y"}
    assert filled["dice"]["cortex"]["segsrgan"] == summary["dice"]["cortex"]["segsrgan"]
    assert "drawem" not in summary["dice"]["cortex"]
    assert filled["psnr"] == summary["psnr"]
    assert set(summary["psnr"]) == {"segsrgan", "spline"}
    assert "volume_ml" not in summary


def test_undefined_scores_are_counted_not_averaged():
    described = describe(pd.Series([1.0, 3.0, np.nan, np.inf]))
    assert (described["mean"], described["sd"], described["n"], described["n_missing"]) == (2, np.sqrt(2), 2, 2)
    assert describe(pd.Series([np.nan]))["mean"] is None
    assert describe(pd.Series([2.0]))["sd"] is None


@pytest.mark.parametrize("difference", [[1.0, 2, 3, 4, 5, 6, 7], [1.0, 2], [1.5, 2, 2.5, 3, 3.5], [0.0, 0, 0]])
def test_paired_test_is_scipys_and_says_its_smallest_p(difference):
    test, n = paired_test(pd.Series([*difference, np.nan])), len(difference)
    assert (test["n"], test["difference"]) == (n, np.mean(difference))
    assert test["p"] == pytest.approx(stats.wilcoxon(difference).pvalue if any(difference) else 1)
    assert test["smallest_p"] == 2.0 ** (1 - n)
    assert ("cannot reach 0.05" in test.get("note", "")) == (n < 6)
    assert paired_test(pd.Series([1.0]))["p"] is None


def test_holm_over_the_methods_of_one_metric_and_structure(summary):
    tests, smallest = summary["tests"], 2.0**-5
    assert tests["psnr"]["spline"]["p_holm"] == pytest.approx(smallest)  # one comparison: no correction
    assert [tests["dice"]["cortex"][m]["p_holm"] for m in ("imapa", "jlf")] == pytest.approx([2 * smallest] * 2)
    # 0.02 against -0.1: the sign of the bias is dropped
    assert tests["volume_error"]["cortex"]["imapa"]["difference"] == pytest.approx(-0.08, abs=0.005)
