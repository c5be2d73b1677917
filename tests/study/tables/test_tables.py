import re

import numpy as np
import pandas as pd
import pytest

from segsrgan_study.statistics.summary import summarise, with_methods
from segsrgan_study.tables import evaluation, variability
from segsrgan_study.tables.cells import MISSING, Table, Tables, cell, rows, sentences
from tests.study.notebook_04 import analyse

ANALYSES = {"bland_altman": "Bland-Altman", "pitman_morgan": "Pitman-Morgan"}
CHECKS = {"shapiro_differences": ("normal differences", "Shapiro-Wilk"), "shapiro_sum": ("normal sum", "Shapiro-Wilk")}


@pytest.fixture(scope="module")
def scores() -> dict:
    """`results/evaluation/metrics.json` of six subjects; DrawEM did not run."""
    rng, found = np.random.default_rng(0), []
    values = {("image", "psnr"): (27, 24), ("image", "ssim"): (0.9, 0.8), ("cortex", "dice"): (0.86, 0.79)}
    values |= {("cortex", "volume_error"): (0.01, -0.1), ("white", "dice"): (0.9, 0.8)}
    for (structure, metric), means in values.items():
        for method, mean in zip(("segsrgan", "spline" if structure == "image" else "imapa"), means, strict=True):
            drawn = mean * rng.normal(1, 0.02, 6)
            found += [("embedded", f"sub-{i}", method, structure, metric, value) for i, value in enumerate(drawn)]
    table = pd.DataFrame(found, columns=["cohort", "subject", "method", "structure", "metric", "value"])
    imapa = {"title": "IMAPA", "version": "1", "parameters": {"k": 15, "alphas": [0.0, 0.25]}}
    methods = {
        "imapa": {**imapa, "atlases": {"sub-0": ["a", "b"], "sub-1": ["a", "b"]}},
        "drawem": {"title": "DrawEM", "version": "not found", "parameters": {}},
    }
    return with_methods(summarise(table), methods, {"drawem": "not run: mirtk not found"}, ["cortex", "white"])


@pytest.fixture(scope="module")
def volumes() -> pd.DataFrame:
    rng, found = np.random.default_rng(1), []
    for patient in range(6):
        icv = 420 * np.exp(rng.normal(0, 0.1))
        true = 0.32 * icv * np.exp(rng.normal(0, 0.01))
        for te, effect in {120: 0, 200: -3, 280: -8, 360: -15}.items():
            cortex = true + effect + rng.normal()
            found.append((f"sub-{patient}", te, 36 + patient, cortex, icv, cortex / icv, true, icv))
    names = "subject te_ms age_weeks cortex_ml icv_ml cortex_over_icv cortex_true_ml icv_true_ml"
    return pd.DataFrame(found, columns=names.split())


def test_cells_as_text():
    assert cell("{a:.2f}", {"a": -0.0001}) == "0.00"
    assert cell("{a[b][120]:.1f}", {"a": {"b": {"120": -1.26}}}) == "\N{MINUS SIGN}1.3"
    assert (
        cell("{mean:.1f} {ci95:.1f}", {"mean": 2.0, "ci95": [-1.234, 2.0]})
        == "2.0 [\N{MINUS SIGN}1.2,\N{NO-BREAK SPACE}2.0]"
    )
    assert [cell("{p:p}", {"p": p}) for p in (0.0004, 0.0321)] == ["<\N{NO-BREAK SPACE}0.001", "0.032"]
    assert cell("{mean:.1f} ({sd:.1f})", {"mean": None}) == cell("{x}", {"x": float("nan")}) == MISSING


def test_sentences_with_a_missing_value_are_left_out():
    said = sentences("\n- a is\n  {a:.1f}\n- b is {b:.1f}\n", {"a": 1.0})
    assert said == "\n- a is 1.0"


def test_rows_without_values_are_left_out():
    nest = {"x": {"1": {"v": 1.0}, "2": {"reason": "no data"}}, "y": {"reason": "none at all"}}
    frame = rows(nest, ["measure", "TE"], {"v": "{v:.1f}"}, str.upper)
    assert frame.reset_index().to_numpy().tolist() == [["X", "1", "1.0"]]


def test_methods_stand_in_order_with_the_reason_of_those_that_did_not_run(scores):
    frame = evaluation.by_method(scores, evaluation.LABELS)
    assert [name for (name,) in frame.index] == ["SegSRGAN", "DrawEM (not run: mirtk not found)", "IMAPA"]
    mean = scores["dice"]["cortex"]["segsrgan"]["mean"]
    assert frame["Dice"].iloc[0].startswith(f"{mean:.3f}\N{NO-BREAK SPACE}(")
    assert frame["n"].tolist() == ["6", "0", "6"]
    assert evaluation.by_method(scores, evaluation.IMAGE).shape == (2, 3)
    found = evaluation.methods(scores)
    assert found.loc[("IMAPA", "1", "2"), "parameters"] == "k 15; alphas 0, 0.25"


def test_the_talks_numbers_stand_beside_its_own_cohorts_alone(scores, volumes):
    assert "26.96" not in evaluation.by_method(scores, evaluation.IMAGE).to_string()
    on_dhcp = evaluation.by_method({**scores, "cohort": "dhcp"}, evaluation.IMAGE)
    assert on_dhcp.loc[("SegSRGAN, the talk's value",), "PSNR (dB)"] == "26.96"
    metrics = analyse(volumes)
    assert "the talk's value" not in variability.spread(metrics).to_string()
    assert "0.0939" in variability.spread(metrics, talk=True).to_string()


def test_paired_tests_hold_the_difference_and_the_least_p(scores):
    frame = evaluation.tests(scores)
    test = scores["tests"]["psnr"]["spline"]
    assert frame.loc[("PSNR (dB)", "cubic spline"), "difference"] == f"{test['difference']:.2f}"
    assert frame.loc[("Dice", "IMAPA"), "least p"] == "0.031"


def test_agreement_and_harmonisation_hold_the_analysis(volumes):
    metrics = analyse(volumes)
    agreement = variability.agreement(metrics)
    assert len(agreement) == 2 * (6 + 3)
    factors = variability.harmonisation(metrics)
    assert float(factors.loc[("cortex volume", "factor at TE 360 ms"), "value"]) < 0.95


def test_each_assumption_is_shown_with_its_checks(volumes):
    frame = variability.assumptions(analyse(volumes), ANALYSES, CHECKS).sort_index()
    for row in (
        ("Pitman-Morgan", "both", "normal sum"),
        ("bootstrap of IQR / median", "cortex volume", "little bias"),
    ):
        assert len(frame.loc[row]) == 1
    pairs = frame.loc[("Bland-Altman", "cortex volume", "normal differences", "Shapiro-Wilk")]
    assert pairs["tests"] == "6"


def test_what_an_analysis_cannot_give_is_told(volumes):
    metrics = analyse(volumes[volumes["subject"] == "sub-0"])
    assert "needs three patients" in variability.reasons(metrics)["mixed model, cortex"]
    for function in (variability.spread, variability.harmonisation, variability.agreement):
        function(metrics)


def test_without_results_there_are_no_rows():
    shown = [evaluation.by_method({}, evaluation.LABELS), evaluation.tests({}), evaluation.methods({})]
    shown += [f({}) for f in (variability.spread, variability.harmonisation, variability.agreement)]
    assert [len(frame) for frame in shown] == [0] * len(shown)


def test_latex_escapes_signs_and_loads_booktabs_alone():
    frame = pd.DataFrame({"x (%)": ["\N{MINUS SIGN}1.5", "< 0.001"]}, index=pd.Index(["m & n", "a_b"], name="a_b"))
    text = Table("t", "A 5 % title. <b>B</b>.", frame).latex()
    for piece in ("a\\_b", "x (\\%)", "m \\& n", "$-$1.5", "$<$ 0.001", "A 5 \\% title. B.", "\\toprule", "{tab:t}"):
        assert piece in text
    assert not re.search(r"(?<!\\)%", text)


def test_tables_are_numbered_kept_and_old_ones_removed(tmp_path):
    (tmp_path / "old.tex").write_text("old")
    table = Tables(tmp_path)
    frame = rows({"x": {"v": 1.0}}, ["what"], {"v": "{v:.1f}"})
    assert table("none", "None", "Nothing.", frame.iloc[:0]) is None
    shown = [table(name, "Some", "One\n   number.", frame)._repr_html_() for name in ("a", "b")]
    assert "<b>Table 2. Some.</b> One number." in shown[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tex", "b.tex"]
