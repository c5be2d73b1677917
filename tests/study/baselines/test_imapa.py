import numpy as np
import pytest
from scipy.optimize import lsq_linear

from segsrgan_core.errors import UserError
from segsrgan_study.baselines.imapa import soft_labels
from tests.study.baselines.phantoms import labels_of

SHAPE = (9, 8, 7)


def brain(seed):
    """A ball in two layers on a dark ground, moved a little and noisy: image and labels 0, 1, 2."""
    rng = np.random.default_rng(seed)
    labels = labels_of(SHAPE, (2.9, 1.6, 0.0), rng.uniform(-0.7, 0.7, 3))
    image = np.array([0.1, 0.5, 1.0])[labels] + rng.normal(0, 0.03, SHAPE)
    return np.clip(image, 0, None).astype(np.float32), labels


TARGET = brain(0)[0]
ATLASES, LABELS = (np.stack(arrays) for arrays in zip(*(brain(seed) for seed in (1, 2, 3)), strict=True))


def literal(target, atlases, labels, half_patch, half_window, k, alphas, one_class=False):
    """IMAPA as it is written: every voxel, every atlas, every offset, every voxel of a patch."""
    n, pad = int(labels.max()) + 1, half_patch + half_window
    scale = target.max()
    around = [(pad, pad)] * 3
    target = np.pad(target.astype(float) / scale, around)
    atlases = [np.pad(atlas.astype(float) / scale, around) for atlas in atlases]
    maps = [np.pad(np.eye(n)[label], [*around, (0, 0)]) for label in labels]
    for one in maps:
        one[..., 0] = 1 - one[..., 1:].sum(axis=-1)
    half = 1.0 if one_class else 0.5
    if one_class:
        maps = [one[..., 1:2] for one in maps]
    empty = np.zeros_like(maps[0])
    if not one_class:
        empty[..., 0] = 1
    soft = empty.copy()

    def patch(array, at):
        return array[tuple(slice(i - half_patch, i + half_patch + 1) for i in at)].ravel()

    for a in alphas:
        new = empty.copy()
        for voxel in np.ndindex(tuple(size - 2 * pad for size in target.shape)):
            at = np.array(voxel) + pad
            z, centres = [], []
            for atlas, one in zip(atlases, maps, strict=True):
                for offset in np.ndindex((2 * half_window + 1,) * 3):
                    there = at + np.array(offset) - half_window
                    intensities = np.sqrt(1 - a) * (patch(atlas, there) - patch(target, at))
                    z.append([*intensities, *np.sqrt(half * a) * (patch(one, there) - patch(soft, at))])
                    centres.append(one[tuple(there)])
            z, centres = np.array(z), np.array(centres)
            distance = 1e-6 + (z**2).sum(axis=1)
            nearest = np.argsort(distance, kind="stable")[:k]
            gram = z[nearest] @ z[nearest].T
            c = gram + 1e-3 * (np.trace(gram) or 1) * np.eye(k)
            weights = lsq_linear(c, np.ones(k), (0, 1), method="bvls", tol=1e-14).x
            new[tuple(at)] = weights @ centres[nearest] / weights.sum()
        soft = new
    return soft[(slice(pad, -pad),) * 3]


@pytest.mark.parametrize(
    ("half_patch", "k", "alpha", "contrast", "n"),
    [(1, 7, 0.25, 1, 3), (0, 15, 0.5, 1, 3), (1, 9, 0.25, 3, 3), (1, 7, 0.25, 1, 2)],
)
def test_equals_the_literal_version_in_every_voxel(half_patch, k, alpha, contrast, n):
    labels = LABELS % n  # with 2, cortex alone: the published formula
    middle = TARGET.max() * 0.5
    atlases = middle + (ATLASES - middle) * contrast  # with 3, weights reach their bounds from both sides
    expected = literal(TARGET, atlases, labels, half_patch, 1, k, (0.0, alpha), one_class=n == 2)
    numbers, soft = soft_labels(TARGET, atlases, labels, half_patch, 1, k, (0.0, alpha))
    assert numbers.tolist() == list(range(n))
    np.testing.assert_allclose(soft[..., -expected.shape[-1] :], expected, atol=1e-5)
    np.testing.assert_allclose(soft.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"k": 10**6}, {"half_patch": -1}, {"alphas": ()}, {"alphas": (1.5,)}])
def test_a_parameter_out_of_range_is_refused(wrong):
    with pytest.raises(UserError, match="out of range"):
        soft_labels(TARGET, ATLASES, LABELS, **wrong)
