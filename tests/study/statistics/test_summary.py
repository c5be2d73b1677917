import numpy as np
import pandas as pd
import pytest
from scipy import stats

from segsrgan_study.statistics.intervals import bootstrap
from segsrgan_study.statistics.summary import describe, paired_test, summarise, with_methods


def long_table(n: int = 8, cohort: str = "embedded") -> pd.DataFrame:
    """Scores of n subjects: segsrgan better than imapa better than spline, by known steps."""
    rng, rows = np.random.default_rng(0), []
    for subject in range(n):
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
            {"cohort": cohort, "subject": f"sub-{subject}", "method": m, "structure": s, "metric": k, "value": v}
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


def test_layout_of_metrics_json():
    summary = summarise(long_table())
    assert summary["cohort"] == "embedded"
    assert set(summary["psnr"]) == {"segsrgan", "spline"}
    assert set(summary["dice"]["cortex"]) == {"segsrgan", "imapa", "jlf"}
    assert "volume_ml" not in summary
    assert set(summary["tests"]["dice"]["cortex"]) == {"imapa", "jlf"}


def test_mean_sd_and_n_by_hand():
    described = describe(pd.Series([1.0, 2.0, 3.0, 6.0]))
    assert described["mean"] == 3
    assert described["sd"] == pytest.approx(np.sqrt(14 / 3))  # (4 + 1 + 0 + 9) / (n - 1)
    assert described["n"] == 4
    assert described["ci95"][0] < 3 < described["ci95"][1]


def test_undefined_scores_are_counted_not_averaged():
    described = describe(pd.Series([1.0, 3.0, np.nan, np.inf]))
    assert (described["mean"], described["n"], described["n_missing"]) == (2, 2, 2)
    assert describe(pd.Series([np.nan]))["mean"] is None
    assert describe(pd.Series([2.0]))["sd"] is None


def test_paired_test_is_scipys_and_says_its_smallest_p():
    a, b = pd.Series([5.0, 6, 7, 8, 9, 11, 13]), pd.Series([4.0, 4, 4, 4, 4, 5, 6])
    test = paired_test(a, b)
    assert test["p"] == pytest.approx(stats.wilcoxon(a, b).pvalue)
    assert test["smallest_p"] == 2**-6
    assert test["difference"] == pytest.approx((a - b).mean())
    assert "note" not in test


@pytest.mark.parametrize("n", [2, 4, 5])
def test_few_pairs_are_said_to_be_few(n):
    test = paired_test(pd.Series(np.arange(n) + 2.0), pd.Series(np.arange(n) / 2))
    assert test["p"] == pytest.approx(2.0 ** (1 - n))
    assert "cannot reach 0.05" in test["note"]


def test_one_pair_is_not_tested():
    assert paired_test(pd.Series([1.0]), pd.Series([2.0]))["p"] is None


def test_equal_methods_give_p_of_one():
    assert paired_test(pd.Series([1.0, 2, 3]), pd.Series([1.0, 2, 3]))["p"] == 1


def test_holm_over_the_methods_of_one_metric_and_structure():
    tests = summarise(long_table())["tests"]
    smallest = 2.0**-7
    assert tests["psnr"]["spline"]["p_holm"] == pytest.approx(smallest)  # one comparison: no correction
    assert [tests["dice"]["cortex"][m]["p_holm"] for m in ("imapa", "jlf")] == pytest.approx([2 * smallest] * 2)


def test_volume_errors_are_compared_by_size():
    test = summarise(long_table())["tests"]["volume_error"]["cortex"]["imapa"]
    assert test["difference"] == pytest.approx(-0.09)  # 0.01 + ... against 0.10 + ...: the sign of the bias is dropped


def test_bootstrap_covers_the_normal_interval():
    values = np.random.default_rng(3).normal(10, 2, 200)
    (low, high), _ = bootstrap(values, np.mean)
    half = 1.96 * 2 / np.sqrt(200)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    assert bootstrap(values, np.mean)[0] == [low, high]  # the seed is fixed
    assert bootstrap(values[:2], np.mean) == (None, None)
