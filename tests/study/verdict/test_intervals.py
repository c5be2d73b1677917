"""Intervals of volumes: what they promise on cases like those that they were made from, and when there are none."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from segsrgan_study.verdict.intervals import conformal_ends, coverage, fit_ends, leave_one_head_out
from segsrgan_study.verdict.rule import ODDS, group_of
from tests.study.verdict.test_rule import MODEL, USUAL

WIDENING = replace(
    MODEL, signed=(1.0, 0.0, 0.0, 0.0), slopes={"cortex": 0.5, "white": 0.0}, shifts={"cortex": 0.8, "white": 0.0}
)


def cases(heads, each=8, seed=0, bias=0.05):
    """Cases whose errors grow with the odds as the model says, marked ones more; white matter in a twentieth."""
    rng, n = np.random.default_rng(seed), heads * each
    odds = rng.normal(0, 1.5, n)
    table = pd.DataFrame({"head": np.arange(n) // each, "cohort": "a", "kind": "noise", "log_odds": odds})
    table["verdict"] = np.where(odds > 1, "look", "good")
    sd = np.where(odds > 1, 0.2, 0.1)
    table["ratio_cortex"] = (bias + sd * rng.standard_normal(n)) * np.exp(0.5 * np.clip(odds, -ODDS, ODDS))
    table["expected"] = np.where(rng.random(n) < 0.5, 0.5 * rng.standard_normal(n), 0.0)
    table["ratio_cortex"] += 0.8 * table["expected"]
    return table.assign(ratio_white=np.where(rng.random(n) < 0.05, 0.1 * rng.standard_normal(n), np.nan))


def test_they_contain_nine_of_ten_true_volumes_of_new_cases_at_any_odds():
    model, new = fit_ends(cases(60), WIDENING), cases(300, seed=1)
    ends = [model.ends["cortex"][group_of(one)] for one in new["verdict"]]
    centre, scale = model.interval("cortex", new["log_odds"], new["expected"])
    low, high = (centre + end * scale for end in np.transpose(ends))
    inside = new["ratio_cortex"].between(low, high)
    assert inside.mean() == pytest.approx(0.9, abs=0.03)
    for group in (new["log_odds"] < -1, new["verdict"] == "good", new["verdict"] == "look"):
        assert inside[group].mean() == pytest.approx(0.9, abs=0.05)
    assert (new["ratio_cortex"] < low).mean() == pytest.approx(0.05, abs=0.02)  # the bias is part of them


def test_few_cases_give_wide_ends_and_too_few_none():
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(2000):
        low, high = conformal_ends(pd.Series(rng.standard_normal(25)))
        hits.append(low <= rng.standard_normal() <= high)
    assert 0.89 <= np.mean(hits) <= 0.95  # at least 90 %, 24 of 26 here
    assert conformal_ends(pd.Series(np.arange(19.0))) == (0.0, 18.0)
    assert conformal_ends(pd.Series(np.arange(18.0))) is None


def test_each_head_is_judged_by_the_others():
    table = cases(30)
    table.loc[table["head"] == 3, "ratio_cortex"] = 5.0  # as no other head
    every = leave_one_head_out(table, WIDENING)
    cortex = every[every["volume"] == "cortex"]
    assert not cortex.loc[cortex["head"] == 3, "inside"].any()
    assert (every["low"] < every["high"]).all()
    found = coverage(cortex, "verdict")
    assert found["n"].sum() == len(cortex) == len(table)
    np.testing.assert_allclose(found[["inside", "below", "above"]].sum(axis=1), 1)


def test_volumes_that_were_not_found_or_not_learnt_have_no_interval():
    model = fit_ends(cases(30), WIDENING)  # the white matter has too few cases for an interval
    numbers = USUAL | {"dark": 0.0, "fitted": 1.2, "misfit": 0.2, "slice_mm": 3.0}
    scale, ml = np.exp(0.5 * model.log_odds(numbers)), 70 * 1.2**0.8
    for verdict, group in (("good", "good"), ("look", "marked"), ("do not use", "marked")):
        found = model.intervals_ml({"cortex": 70.0, "white": 100.0, "intracranial": 350.0}, numbers, verdict)
        low, high = model.ends["cortex"][group]
        assert found == {"cortex": pytest.approx([ml * np.exp(low * scale), ml * np.exp(high * scale)])}
    assert model.intervals_ml({"cortex": 0.0}, numbers, "good") == {}
    assert MODEL.intervals_ml({"cortex": 70.0}, numbers, "good") == {}
