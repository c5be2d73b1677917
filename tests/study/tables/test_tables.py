import re

import pandas as pd
import pytest

from segsrgan_study.statistics.summary import summarise, with_methods
from segsrgan_study.tables import evaluation, variability
from segsrgan_study.tables.cells import MISSING, Tables, cell, latex, rows, sentences
from tests.study.notebook_04 import analyse

ANALYSES = {"bland_altman": "Bland-Altman", "pitman_morgan": "Pitman-Morgan"}
CHECKS = {"shapiro_differences": ("normal differences", "Shapiro-Wilk"), "shapiro_sum": ("normal sum", "Shapiro-Wilk")}


@pytest.fixture(scope="module")
def evaluated(scores) -> dict:
    """`results/evaluation/metrics.json`; DrawEM did not run."""
    methods = {name.lower(): {"title": name} for name in ("IMAPA", "DrawEM")}
    return with_methods(summarise(scores), methods, {"drawem": "not run: mirtk not found"}, ["cortex", "white"])


@pytest.fixture(scope="module")
def measured(volumes) -> dict:
    """`results/variability/metrics.json`."""
    return analyse(volumes)


def test_cells_as_text():
    assert cell("{a:.2f}", {"a": -0.0001}) == "0.00"
    assert cell("{a[b][120]:.1f}", {"a": {"b": {"120": -1.26}}}) == "\N{MINUS SIGN}1.3"
    limits = cell("{mean:.1f} {ci95:.1f}", {"mean": 2.0, "ci95": [-1.234, 2.0]})
    assert limits == "2.0 [\N{MINUS SIGN}1.2,\N{NO-BREAK SPACE}2.0]"
    assert [cell("{p:p}", {"p": p}) for p in (0.0004, 0.0321)] == ["<\N{NO-BREAK SPACE}0.001", "0.032"]
    assert cell("{mean:.1f} ({sd:.1f})", {"mean": None}) == cell("{x}", {"x": float("nan")}) == MISSING


def test_sentences_and_rows_without_values_are_left_out():
    assert sentences("\n- a is\n  {a:.1f}\n- b is {b:.1f}\n", {"a": 1.0}) == "\n- a is 1.0"
    nest = {"x": {"1": {"v": 1.0}, "2": {"reason": "no data"}}, "y": {"reason": "none at all"}}
    frame = rows(nest, ["measure", "TE"], {"v": "{v:.1f}"}, str.upper)
    assert frame.reset_index().to_numpy().tolist() == [["X", "1", "1.0"]]


def test_methods_stand_in_order_with_why_they_did_not_run_and_their_tests(evaluated):
    frame = evaluation.by_method(evaluated, evaluation.LABELS)
    assert [name for (name,) in frame.index] == ["SegSRGAN", "DrawEM (not run: mirtk not found)", "IMAPA"]
    mean = evaluated["dice"]["cortex"]["segsrgan"]["mean"]
    assert frame["Dice"].iloc[0].startswith(f"{mean:.3f}\N{NO-BREAK SPACE}(")
    assert frame["n"].tolist() == ["6", "0", "6"]
    assert evaluation.by_method(evaluated, evaluation.IMAGE).shape == (2, 3)
    frame = evaluation.tests(evaluated)
    test = evaluated["tests"]["psnr"]["spline"]
    assert frame.loc[("PSNR (dB)", "cubic spline"), "difference"] == f"{test['difference']:.2f}"
    assert frame.loc[("Dice", "IMAPA"), "least p"] == "0.031"


def test_the_talks_numbers_stand_beside_its_own_cohorts_alone(evaluated, measured):
    assert "26.96" not in evaluation.by_method(evaluated, evaluation.IMAGE).to_string()
    on_dhcp = evaluation.by_method({**evaluated, "cohort": "dhcp"}, evaluation.IMAGE)
    assert on_dhcp.loc[("SegSRGAN, the talk's value",), "PSNR (dB)"] == "26.96"
    assert "the talk's value" not in variability.spread(measured).to_string()
    assert "0.0939" in variability.spread(measured, talk=True).to_string()


def test_each_assumption_is_shown_with_its_checks(measured):
    frame = variability.assumptions(measured, ANALYSES, CHECKS).sort_index()
    assert len(frame.loc[("Pitman-Morgan", "both", "normal sum")]) == 1
    assert len(frame.loc[("bootstrap of IQR / median", "cortex volume", "little bias")]) == 1
    assert frame.loc[("Bland-Altman", "cortex volume", "normal differences", "Shapiro-Wilk"), "tests"] == "6"


def test_what_is_not_there_leaves_no_rows_and_what_cannot_be_given_is_told(volumes):
    metrics = analyse(volumes[volumes["subject"] == "sub-00"])
    assert "needs three patients" in variability.reasons(metrics)["mixed model, cortex"]
    assert set(variability.spread(metrics).to_numpy().ravel()) == {MISSING}
    for frame in (evaluation.by_method({}, evaluation.LABELS), evaluation.tests({}), variability.spread({})):
        assert len(frame) == 0


def test_latex_escapes_signs_and_loads_booktabs_alone():
    frame = pd.DataFrame({"x (%)": ["\N{MINUS SIGN}1.5", "< 0.001"]}, index=pd.Index(["m & n", "a_b"], name="a_b"))
    text = latex("t", "A 5 % title. <b>B</b>.", frame)
    for piece in ("a\\_b", "x (\\%)", "m \\& n", "$-$1.5", "$<$ 0.001", "A 5 \\% title. B.", "\\toprule", "{tab:t}"):
        assert piece in text
    assert not re.search(r"(?<!\\)%", text)


def test_tables_are_numbered_kept_and_old_ones_removed(tmp_path):
    (tmp_path / "old.tex").write_text("old")
    table = Tables(tmp_path)
    frame = rows({"x": {"v": 1.0}}, ["what"], {"v": "{v:.1f}"})
    assert table("none", "None", "Nothing.", frame.iloc[:0]) is None
    shown = [table(name, "Some", "One\n   number.", frame).data for name in ("a", "b")]
    assert "<b>Table 2. Some.</b> One number." in shown[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tex", "b.tex"]
