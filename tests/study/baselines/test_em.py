import numpy as np
import pytest
from scipy import ndimage

from segsrgan_study.baselines import atlas_images, em
from segsrgan_study.baselines.case import Case
from segsrgan_study.baselines.em import adjacency, expectation_maximisation
from segsrgan_study.baselines.em_kernel import expectation
from segsrgan_study.baselines.priors import normalised, scaled, tissue_priors
from tests.study.baselines.phantoms import COARSE, atlas_of, dice, image_of, labels_of, nifti

NUMBERS = [0, 1, 2, 3]
TRUTH = labels_of()
PUBLISHED = {"mrf_weight": 1 / 3, "relax_factor": 0.5, "relax_sigma_voxels": 2.0, "keep": 0.5}


def one_hot(labels):
    return np.stack([labels == number for number in NUMBERS]).astype(np.float32)


def blurred(labels, sigma=2.0):
    return normalised(np.stack([ndimage.gaussian_filter(part, sigma) for part in one_hot(labels)]) + np.float32(1e-4))


def run(image, priors, mrf_weight=0.0, keep=1.0):
    inside, strengths = np.ones(image.shape, bool), {**PUBLISHED, "mrf_weight": mrf_weight, "keep": keep}
    posteriors = expectation_maximisation(image, inside, priors, NUMBERS, np.ones(3), **strengths)
    np.testing.assert_allclose(posteriors.sum(axis=0), 1, atol=1e-4)
    return np.array(NUMBERS)[posteriors.argmax(axis=0)]


def test_the_mrf_mends_isolated_voxels():
    image, priors = image_of(TRUTH, noise=30.0), blurred(TRUTH)
    without, with_mrf = run(image, priors), run(image, priors, mrf_weight=1 / 3)
    assert lonely(without) >= 20
    assert lonely(with_mrf) == 0
    assert all(dice(with_mrf, TRUTH, number) > 0.95 for number in (1, 2, 3))


def lonely(labels):
    """Count the voxels that none of their 26 neighbours is like."""
    alike = [ndimage.uniform_filter((labels == number).astype(float), 3) < 1.5 / 27 for number in NUMBERS]
    return sum(np.sum((labels == number) & one) for number, one in zip(NUMBERS, alike, strict=True))


def literal_expectation(image, priors, before, means, variances, graph, spacing_mm, weight, averaged):
    """One E-step voxel by voxel, as published."""
    posteriors = np.zeros(priors.shape)
    for place in np.ndindex(image.shape):
        near = np.zeros(len(priors))
        for axis, step in ((axis, step) for axis in range(3) for step in (-1, 1)):
            beside = np.array(place)
            beside[axis] = np.clip(beside[axis] + step, 0, image.shape[axis] - 1)
            near += before[(slice(None), *beside)] / spacing_mm[axis]
        expected = priors[(slice(None), *place)] * np.exp(-weight * graph.T @ near)
        expected /= expected.sum()
        gaussian = np.exp(-((image[place] - means) ** 2) / (2 * variances)) / np.sqrt(2 * np.pi * variances)
        found = expected * gaussian / (expected * gaussian).sum()
        prior = priors[(slice(None), *place)]
        if averaged and found.argmax() != prior.argmax():
            found = (found + prior) / 2
        posteriors[(slice(None), *place)] = found
    return posteriors


@pytest.mark.parametrize(("weight", "averaged"), [(0.0, False), (0.0, True), (1 / 3, True)])
def test_the_compiled_step_is_the_published_one(weight, averaged):
    rng = np.random.default_rng(0)
    image = rng.uniform(50, 200, (4, 5, 6)).astype(np.float32)
    priors, before = (normalised(rng.random((4, 4, 5, 6)).astype(np.float32)) for _ in range(2))
    means, variances = np.float32([60, 180, 90, 140]), np.float32([100, 900, 400, 600])
    spacing, graph = np.array([0.5, 1.0, 2.0]), adjacency(NUMBERS)
    strength = (weight / spacing).astype(np.float32)
    found, _ = expectation(image, priors, before, means, variances, graph, strength, averaged)
    expected = literal_expectation(image, priors, before, means, variances, graph, spacing, weight, averaged)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_adjacency():
    graph = adjacency(list(range(10)))
    np.testing.assert_array_equal(graph, graph.T)
    assert set(np.unique(graph)) == {0, 1, 5, 10}
    assert not np.diag(graph).any()
    assert [graph[1, 3], graph[2, 3], graph[0, 3], graph[4, 7]] == [5, 1, 10, 10]


def test_the_partial_volume_rule_mends_the_border_of_csf_and_cortex():
    """CSF on the left, cortex on the right, one plane between them that looks white; white matter far right."""
    truth = np.repeat(np.uint8([1, 2, 3]), (10, 6, 8))[:, None, None] * np.ones((1, 12, 12), np.uint8)
    image = image_of(truth, noise=3.0)
    image[10] = image_of(np.full((12, 12), 3), noise=3.0)
    priors = np.full((4, *truth.shape), 0.25, np.float32)
    priors[0] = 1e-4
    priors = normalised(0.7 * priors + 0.3 * blurred(truth))
    assert np.mean(run(image, priors)[10] == 3) > 0.9
    mended = run(image, priors, keep=0.5)
    assert np.mean(np.isin(mended[10], [1, 2])) > 0.9
    assert np.mean(mended[16:] == 3) > 0.9


def test_csf_pieces_in_white_matter_become_white_and_white_islands_csf():
    labels = np.full((20, 12, 12), 3, np.uint8)
    labels[:6] = 1
    labels[14, 5:7, 5:7] = 1
    labels[2, 6, 6] = 3
    np.testing.assert_array_equal(np.argwhere(em.small_csf_in_white(labels))[:, 0], 14)
    np.testing.assert_array_equal(np.argwhere(em.small_white(labels)), [[2, 6, 6]])
    fixed = em.correct(one_hot(labels), em.find_faults(labels), NUMBERS, keep=0.5)
    np.testing.assert_allclose(fixed[:, 14, 5, 5], [0, 0.5, 0, 0.5])
    np.testing.assert_allclose(fixed[:, 2, 6, 6], [0, 0.5, 0, 0.5])
    np.testing.assert_allclose(fixed.sum(axis=0), 1)
    without_white = em.correct(fixed[:2], em.find_faults(labels), [0, 1], 0.5)  # there is no rule then
    np.testing.assert_array_equal(without_white, fixed[:2])


def test_priors_trust_the_atlas_that_looks_like_the_image():
    image = scaled(image_of(TRUTH), TRUTH > 0)
    wrong = labels_of(shift=(4, 0, 0))
    atlases = [image, scaled(image_of(wrong), wrong > 0)]
    priors = tissue_priors(image, atlases, [TRUTH, wrong], NUMBERS, sigma_voxels=0.5)
    np.testing.assert_allclose(priors.sum(axis=0), 1, atol=1e-5)
    assert np.take_along_axis(priors, TRUTH[None].astype(int), axis=0)[0][wrong != TRUTH].mean() > 0.75


@pytest.mark.parametrize(("correction", "low", "high"), [(True, 0.97, 1.0), (False, 0.85, 0.93)])
def test_bias_is_removed(tmp_path, monkeypatch, correction, low, high):
    x = np.linspace(-1, 1, TRUTH.shape[0])[:, None, None]
    biased = nifti((image_of(TRUTH) * np.exp(0.8 * x)).astype(np.float32))
    flat = np.full(TRUTH.shape, 100.0, np.float32)  # the atlases look alike, so that the intensities decide
    moves = [move * axis for move in (-2, 2) for axis in np.eye(3)]
    warped = {"interpolated": np.stack([flat] * 6), "labels": np.stack([labels_of(shift=move) for move in moves])}
    monkeypatch.setattr(atlas_images, "warped_atlases", lambda case: warped)
    method = em.METHOD.tuned(bias_correction=correction, prior_sigma_voxels=2.0)
    result = method.run(Case(biased, (atlas_of("a", biased, TRUTH),), tmp_path, COARSE))
    assert low < min(dice(np.asarray(result.dataobj), TRUTH, number) for number in (1, 2, 3)) < high
