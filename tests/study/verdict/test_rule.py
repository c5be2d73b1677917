from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from segsrgan_core.atomic import write_json, write_text
from segsrgan_core.errors import UserError
from segsrgan_study.verdict.fit import fit_logistic, judged, rates
from segsrgan_study.verdict.measures import MEASURES
from segsrgan_study.verdict.rule import FILE, Logistic, judge, read_logistic, reasons, remarks, suspicions

KNOWN = {"snr": 20.0, "skull_ml": 350.0, "share": 0.2, "tail": 0.8, "cut_cm2": 0.0, "air": 0.0}
USUAL = dict.fromkeys(MEASURES, float("nan")) | KNOWN
VOLUMES = {"cortex": 70.0, "intracranial": 350.0}
MODEL = Logistic(
    "a", ("snr", "dark"), ("snr",), (np.log(20), 0.0), (0.5, 0.01), (-1.0, 2.0), (0.5, 0.0), -2.0, 0.3, 0.9
)
LOOK = [("dark", 0.1), ("lowest", -1.0), ("tail", -0.5), ("cut_cm2", 20.0), ("lost", 0.3), ("flicker", 2.0)]
LOOK += [("shift_mm", 9.0), ("brightest", 3.5), ("jump", 1.4), ("detail_mm", 1.6), ("slice_mm", 12.0), ("share", 0.7)]
LOOK += [("turned_deg", 35.0), ("turned_deg", 70.0), ("tilt_deg", 90.0), ("length", 2.5), ("height", 0.4)]
LOOK += [("asymmetry", 0.5), ("pieces", 0.4), ("stem", 0.005), ("bare", 0.2), ("solid", 0.8)]
LOOK += [("fitted", 1.3), ("fitted", 0.8)]
NEVER = [("dark", 0.6), ("skull_ml", 2500.0), ("skull_ml", 12.0)]


@pytest.mark.parametrize(
    ("change", "verdict"), [((), "good"), *(([one], "look") for one in LOOK), *(([one], "do not use") for one in NEVER)]
)
def test_each_rule_alone_decides(change, verdict):
    numbers = USUAL | dict(change)
    found = judge(*(rule(VOLUMES, numbers) for rule in (reasons, suspicions, remarks)), numbers, None)
    assert (found["Verdict"], len(found["Notes"])) == (verdict, len(change))
    assert found["Probability"] is None
    assert "not calibrated" in found["Calibration"]


def test_a_brain_that_several_sides_of_the_field_cut_is_looked_at():
    assert reasons(VOLUMES, USUAL | {"lost": 0.12, "sides": 2}) == []
    assert "12 % of it" in reasons(VOLUMES, USUAL | {"lost": 0.12, "sides": 3})[0]


def test_a_mask_is_judged_where_there_is_one():
    assert reasons(VOLUMES, USUAL | {"bare": 0.8, "air": 0.01}) == []
    assert reasons(VOLUMES, USUAL | {"bare": 0.8, "flicker": 2.0}) == []


def test_a_tissue_that_was_not_found_is_not_used():
    assert judge(reasons(VOLUMES | {"cortex": 0.0}, USUAL), [], [], USUAL, MODEL)["Verdict"] == "do not use"
    others = {"hippocampi_amygdala": 0.0, "left_hippocampi_amygdala": 0.0, **VOLUMES}
    assert reasons(others, USUAL) == []
    assert "hippocampi amygdala" in remarks(others, USUAL)[0]


@pytest.mark.parametrize(
    ("snr", "dark", "log_odds"),
    [(20.0, 0.0, -2.0), (10.0, 0.01, -2 + 2 * np.log(2) + 0.5 * (2 * np.log(2)) ** 2 + 2), (float("nan"), 1.0, -2 + 5)],
)
def test_the_probability_by_hand(snr, dark, log_odds):
    numbers = USUAL | {"snr": snr, "dark": dark}
    probability = 1 / (1 + np.exp(-log_odds))
    assert MODEL.probability(numbers) == pytest.approx(probability)
    verdict = "good" if probability < 0.3 else "look" if probability < 0.9 else "do not use"
    found = judge([], [], [], numbers, MODEL)
    assert (found["Verdict"], len(found["Notes"])) == (verdict, verdict != "good")


def test_with_a_model_a_reason_is_looked_at_and_a_remark_is_told():
    assert judge(["fluid is darker than tissue"], [], [], USUAL, MODEL)["Verdict"] == "look"
    found = judge([], [], ["there are negative intensities"], USUAL, MODEL)
    assert (found["Verdict"], found["Notes"]) == ("good", ["there are negative intensities"])


def test_with_a_suspicion_half_of_the_probability_suffices():
    numbers, found = USUAL | {"snr": 17.0}, {}
    between = replace(MODEL, look=1.5 * MODEL.probability(numbers))
    for suspicions_ in ([], ["slices are displaced"]):
        found[len(suspicions_)] = judge([], suspicions_, [], numbers, between)["Verdict"]
    assert found == {0: "good", 1: "look"}
    assert judge([], ["slices are displaced"], [], numbers, replace(between, look=0.99))["Verdict"] == "good"


def test_a_model_of_other_weights_is_not_used_and_a_damaged_one_is_told(tmp_path):
    assert read_logistic(tmp_path, "a") is None
    known = replace(MODEL, slopes={"cortex": 0.5}, ends={"cortex": {"good": (-0.2, 0.3)}})
    write_json(tmp_path / FILE, asdict(known))
    found = read_logistic(tmp_path, "a")
    assert found.ends == known.ends
    assert found.probability(USUAL) == pytest.approx(MODEL.probability(USUAL), rel=1e-5)
    assert read_logistic(tmp_path, "b") is None
    write_text(tmp_path / FILE, '{"measures": ["snr"]}')
    with pytest.raises(UserError, match=FILE):
        read_logistic(tmp_path, "a")


def test_the_fit_finds_what_makes_volumes_wrong_on_heads_that_it_has_not_seen(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.lognormal(0, 0.3, 800) for name in MEASURES})
    told = np.log(table["fitted"].where(rng.random(800) < 0.25, 1.0))  # what the slices tell of a quarter
    error = np.expm1(0.4 * np.log(table["shift_mm"]) + 0.02 * rng.standard_normal(800) - told)
    table["fitted"] = table["fitted"].where(told != 0)
    table = table.assign(head=np.arange(800) // 20, error=error)
    table = table.assign(**dict.fromkeys(("doubts", "suspicions", "remarks"), [[]] * 800))
    table = table.assign(ratio_cortex=-np.log1p(error), ratio_white=0.05 * rng.standard_normal(800) - 0.5 * told)
    table[["ratio_csf", "ratio_left_cortex"]] = 0.05 * rng.standard_normal((800, 2))
    table.loc[7, ["error", "doubt"]] = np.nan  # one that was refused
    model = fit_logistic(table[:400], "a")
    found = rates(judged(table[400:], model))
    assert found["auc"] > 0.9
    assert found["cases"] == 400
    assert found["found"] > 0.9
    assert found["disturbed"] < 0.3
    assert model.slopes["cortex"] > 0.06  # its error follows the odds, that of the white matter does not
    assert model.slopes["white"] < 0.02
    assert model.signed == pytest.approx((1, 0, 0, 0), abs=0.1)
    cortex = pytest.approx(1, abs=0.1)
    assert model.shifts == {"cortex": cortex, "left_cortex": cortex, "white": pytest.approx(-0.5, abs=0.1), "csf": 0}
