"""Analysis of notebook 04 on volumes with known answers, on volumes of an earlier study, and on too few of them."""

import numpy as np
import pandas as pd
import pytest

from tests.settings import ROOT
from tests.study.notebook_04 import analyse
from tests.study.statistics.patients import patients


def entry(metrics: dict, path: str):
    for key in path.split("/"):
        metrics = metrics[int(key)] if isinstance(metrics, list) else metrics[key]
    return metrics


def test_a_fixed_table_gives_the_known_numbers():
    """Those that the first analysis of the repository, written without formulas, gave."""
    folder = ROOT / "tests/study/statistics"
    volumes = pd.read_csv(folder / "volumes.csv", dtype={"subject": str})
    by_bet = {"icv_bet_ml": volumes["icv_ml"], "cortex_over_icv_bet": volumes["cortex_over_icv"]}
    metrics = analyse(volumes.assign(**by_bet, icv_differs=False))
    known = pd.read_csv(folder / "known.csv", index_col="path")["value"].to_dict()
    assert {path: entry(metrics, path) for path in known} == pytest.approx(known, rel=1e-4)


def test_the_growth_curve_of_the_cohort_holds_for_patients_that_it_has_not_seen():
    growth = analyse(patients())["growth"]
    for name in ("cortex", "intracranial"):
        assert growth[name]["sd_z_left_out"] == pytest.approx(1, abs=0.2)
        low, high = growth[name]["at_mean_age"]["interval95"]
        assert low < growth[name]["at_mean_age"]["volume_ml"] < high
    assert growth["cortex"]["mean_z_published"] is None


def test_without_truth_or_images_the_reason_is_told():
    unknown = analyse(patients(5).drop(columns=["cortex_true_ml", "icv_true_ml"]))
    for part in (unknown["bias"]["cortex"], unknown["truth"]):
        assert "no true volume" in part["reason"]
    assert "no true segmentation" in unknown["scores"]["reason"]
    assert analyse(None) == {"cohort": "embedded", "not_run": "no images"}


def test_scores_per_te_are_means_over_patients():
    scores = analyse(patients(4).assign(cortex_dice=lambda frame: frame["te_ms"] / 400, psnr=np.nan))["scores"]
    assert set(scores) == {"cortex_dice"}
    assert (scores["cortex_dice"]["280"]["mean"], scores["cortex_dice"]["280"]["n"]) == (pytest.approx(0.7), 4)


def test_a_reference_te_that_was_not_acquired_is_the_shortest():
    assert set(analyse(patients(4), 280)["difference_to_reference_te"]["cortex"]) == {"120-280", "200-280", "360-280"}
    assert analyse(patients(4), 100)["reference_te_ms"] == 120


@pytest.mark.parametrize(
    "volumes",
    [
        patients(1),
        patients(2),
        patients(5, {120: 0.0}),
        patients(5, {120: 0.0, 200: 0.0}, noise_ml=0),
        patients(5).assign(cortex_ml=3.0, cortex_over_icv=0.1),
        patients(5).assign(cortex_ml=0.0, cortex_over_icv=0.0),
        patients(5).assign(icv_ml=0.0, cortex_over_icv=np.nan),
        patients(6).assign(cortex_ml=lambda frame: frame["cortex_ml"].where(frame["te_ms"] != 360)),
        patients(6).iloc[:-5],
    ],
    ids=["one", "two", "one-te", "no-noise", "constant", "zero", "no-mask", "te-lost", "incomplete"],
)
def test_volumes_that_allow_little_say_so(volumes):
    for model in analyse(volumes)["mixed_model"].values():
        assert model.get("converged") or model["reason"]
