import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy.special import expit

from segsrgan_study.verdict.borders import fitted_share
from tests.settings import simulation

SPACING_MM, DRAWN_MM, SOFT_MM = 0.8, 2.6, 0.3
GRID = np.diag([SPACING_MM] * 3 + [1.0])
ACROSS_MM = np.tensordot([0.7, 0.6, 0.39], np.indices((64, 64, 64)), 1) * SPACING_MM
DEPTH_MM = 9 - np.abs(ACROSS_MM % 24 - 12)


def tissues(thickness_mm):
    """Shares of oblique walls of white matter with cortex on both sides, fluid in between, float32 (X, Y, Z)."""
    within, deep = expit(DEPTH_MM / SOFT_MM), expit((DEPTH_MM - thickness_mm) / SOFT_MM)
    shares = {"cortex": within - deep, "white": deep, "csf": 1 - within}
    return {name: share.astype(np.float32) for name, share in shares.items()}


def scanned(thickness_mm, plane="axial", signals=(350.0, 480.0, 900.0), slice_mm=3.0, coil=0.0, dark=False):
    image = sum(signal * share for signal, share in zip(signals, tissues(thickness_mm).values(), strict=True))
    image *= np.exp(coil * np.linspace(-1, 1, len(image)))[:, None, None]
    acquisition = simulation(slice_mm=slice_mm, plane=plane, noise=0.01)
    slices = acquisition.acquire(Nifti1Image(image, GRID), np.random.default_rng(0))
    array = np.array(slices.dataobj)
    array[..., 7] *= 0.4 if dark else 1
    return Nifti1Image(array, slices.affine)


def fitted(image, probabilities):
    return fitted_share(image, Nifti1Image(np.zeros(DEPTH_MM.shape, np.float32), GRID), probabilities)


HOW = [{}, {"plane": "coronal"}, {"signals": (100.0, 160.0, 800.0)}, {"slice_mm": 2.0}, {"coil": 0.5}, {"dark": True}]


@pytest.mark.parametrize("thickness_mm", [1.8, 2.2, 2.6, 3.2])
@pytest.mark.parametrize("how", HOW, ids=lambda how: "".join(how) or "usual")
def test_the_cortex_is_as_thick_as_the_slices_say_and_not_as_the_network(thickness_mm, how):
    drawn = tissues(DRAWN_MM)
    right = tissues(thickness_mm)["cortex"].sum() / drawn["cortex"].sum()
    assert fitted(scanned(thickness_mm, **how), drawn)["fitted"] == pytest.approx(right, rel=0.04)


def test_nothing_is_fitted_where_the_tissues_are_not_known_or_not_seen():
    drawn, image = tissues(DRAWN_MM), scanned(2.0)
    assert fitted(image, {"cortex": drawn["cortex"]}) == {}
    assert fitted(image, drawn | {"white": 0 * drawn["white"], "cerebellum": drawn["white"]}) == {}
    assert fitted(scanned(0.4), drawn) == {}  # hardly any cortex would be left
