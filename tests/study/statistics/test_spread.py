import numpy as np
import pytest

from segsrgan_study.statistics.intervals import bootstrap
from segsrgan_study.statistics.spread import sd_over_mean, spread
from tests.study.statistics.patients import patients


def test_spread_by_hand():
    volumes = patients(4, {120: 0.0})
    volumes["cortex_ml"] = [2.0, 4.0, 4.0, 6.0]  # mean 4, sd sqrt(8 / 3); quartiles 3.5 and 4.5, median 4
    values = spread(volumes)
    assert values["sd_over_mean"]["cortex"]["120"] == pytest.approx(np.sqrt(8 / 3) / 4)
    assert values["iqr_over_median"]["cortex"]["120"] == pytest.approx(0.25)
    assert values["n"] == {"120": 4}


def test_bootstrap_contains_the_true_spread():
    """Of 60 samples of 43 normal values, at least 52 intervals contain the true sd / mean (95 % promised)."""
    rng, inside = np.random.default_rng(5), 0
    for _ in range(60):
        low, high = bootstrap(rng.normal(1, 0.1, 43), sd_over_mean, method="BCa")[0]
        inside += low < 0.1 < high
    assert inside >= 52


def test_bootstrap_says_what_it_cannot_and_how_biased_it_is():
    for values in (np.ones(9), np.array([1.0, 2.0])):
        assert bootstrap(values, sd_over_mean, method="BCa") == (None, None)
    sample = np.random.default_rng(0).normal(1, 0.1, 6)
    drawn = bootstrap(sample, sd_over_mean, 1, "BCa")
    assert drawn[1] < -0.25  # of six values, draws are much narrower than the sample
    assert drawn == bootstrap(sample, sd_over_mean, 1, "BCa")
