import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segsrgan_study.statistics.summary import describe, paired_test, summarise, with_methods


def long_table() -> pd.DataFrame:
    """Scores of eight subjects: segsrgan better than imapa better than spline, by known steps."""
    rng, rows = np.random.default_rng(0), []
    for subject in range(8):
        level = rng.normal(0, 0.1)
        scores = {
            ("segsrgan", "image", "psnr"): 27 + level,
            ("spline", "image", "psnr"): 24 + level + 0.1 * subject,
            ("segsrgan", "cortex", "dice"): 0.85 + level / 10,
            ("imapa", "cortex", "dice"): 0.78 + level / 10 - 0.001 * subject,
            ("jlf", "cortex", "dice"): 0.80 + level / 10 - 0.002 * subject,
            ("segsrgan", "cortex", "volume_error"): -0.01 - 0.001 * subject,
            ("imapa", "cortex", "volume_error"): 0.10 + 0.001 * subject,
            ("segsrgan", "cortex", "volume_ml"): 100,
        }
        rows += [
            {"cohort": "embedded", "subject": f"sub-{subject}", "method": m, "structure": s, "metric": k, "value": v}
            for (m, s, k), v in scores.items()
        ]
    return pd.DataFrame(rows)


def test_methods_without_scores_have_an_entry_with_the_reason():
    summary = summarise(long_table())
    methods = {"drawem": {"title": "DrawEM"}, "imapa": {"title": "IMAPA"}, "jlf": {"title": "JLF"}}
    why = {"drawem": "not run: x", "imapa": "sub-9 failed: y"}
    filled = with_methods(summary, methods, why, ["cortex", "white"])
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


def test_holm_over_the_methods_of_one_metric_and_structure():
    tests = summarise(long_table())["tests"]
    smallest = 2.0**-7
    assert tests["psnr"]["spline"]["p_holm"] == pytest.approx(smallest)  # one comparison: no correction
    assert [tests["dice"]["cortex"][m]["p_holm"] for m in ("imapa", "jlf")] == pytest.approx([2 * smallest] * 2)


def test_volume_errors_are_compared_by_size():
    test = summarise(long_table())["tests"]["volume_error"]["cortex"]["imapa"]
    assert test["difference"] == pytest.approx(-0.09)  # 0.01 + ... against 0.10 + ...: the sign of the bias is dropped
