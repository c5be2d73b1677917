"""The packaged weights on phantoms with a cortex that they have not learnt: what they get wrong is told."""

import numpy as np
import pytest

from segsrgan_core.classes import NUMBERS
from segsrgan_study.engines import load_segmenter
from segsrgan_study.phantoms.cohort import PhantomCohort, make_subject
from segsrgan_study.verdict.measures import measures
from segsrgan_study.verdict.rule import reasons
from segsrgan_study.weights import find_model
from tests.settings import simulation

AXIAL = simulation(slice_mm=3.0, noise=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("index", "spread", "told"), [(11, 0.2, True), (9, 0.2, True), (11, 0.045, False)])
def test_a_cortex_much_thinner_or_thicker_than_usual_is_looked_at(index, spread, told):
    config = PhantomCohort(8, 1, 6, 8, spacing_mm=0.8, thickness_sd=spread, simulation=AXIAL, seed=2021)
    (images,) = make_subject(config, index)[1].values()
    low = AXIAL.acquire(images["image"], np.random.default_rng(0))
    result = load_segmenter(find_model("axial"))(low)
    numbers = measures(low, low, result)
    true = (np.asarray(images["labels"].dataobj) == NUMBERS["cortex"]).sum() * 0.8**3 / 1000
    error, left = (np.log(result.volumes_ml["cortex"] * by / true) for by in (1, numbers["fitted"]))
    assert (abs(error) > 0.15) == told
    assert abs(left) < 0.1
    assert any("as much cortex" in reason for reason in reasons(result.volumes_ml, numbers)) == told
