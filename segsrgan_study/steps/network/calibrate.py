"""Calibration of a trained network on cases with known truth: temperature and bias of its probabilities, and drift.

Vector scaling in its smallest form (Guo et al. 2017, section 4.2). The bias sets the labels, and is chosen for the
right volume; the temperature changes no label, and is chosen by likelihood, for probabilities that hold. The drift is
how the volume of the main tissue changes with the contrast, measured on the known heads at random contrasts.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from scipy import optimize, special, stats

from segsrgan_core.classes import LEAST, NUMBERS, log_probabilities, main_tissue
from segsrgan_core.drift import Drift, bias_for, darkness
from segsrgan_core.imaging.resynthesis import draw_signals, resynthesise, tissue_signals
from segsrgan_core.segmenter import ModelCard, Segmenter
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.statistics.reliability import expected_error, reliability_bins
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases

VOXELS = 150_000  # that are looked at in each case
LARGEST_BIAS = 2.0
SHARES = np.linspace(0, 1, 11)  # of the biases that give the right volumes
NEARLY = 0.002  # of Dice: what right volumes may cost
TEMPERATURES = (0.3, 5.0)
DRAWS = 4  # contrasts of a head
ENDS = (5, 95)  # percentiles of the contrasts between which the line holds
SURE = 2.0  # standard errors


def calibration_cases(study: Study, wished: int) -> list[PreparedCase]:
    """Return all cases of the split val, filled up to a wished number, if there are so many, from all over train.

    With a single case the volume would be a matter of luck. Those of train are heads that the network has seen.
    """
    validation, train = (prepared_cases(study, split) for split in ("val", "train"))
    more = min(max(0, wished - len(validation)), len(train))
    return [*validation, *(train[round(place)] for place in np.linspace(0, len(train) - 1, more))]


def calibrate(segmenter: Segmenter, cases: Sequence[PreparedCase], settings: Settings) -> ModelCard:
    """Return a network's card with the temperature, bias and drift that suit labelled cases."""
    card = calibrated(segmenter.card, sample_cases(segmenter, cases))
    return with_drift(card, contrast_table(replace(segmenter, card=card), cases, settings))


class Sample(NamedTuple):
    """Voxels of a case where a tissue is or might be."""

    log_p: np.ndarray  # float32 (n, 1 + classes), of the network's probabilities; the background first
    truth: np.ndarray  # int (n,), 0 for the background
    cohort: str = ""  # of the case


def sample_cases(segmenter: Segmenter, cases: Sequence[PreparedCase]) -> list[Sample]:
    """Segment labelled cases without calibration, one at a time in memory, and keep some of the voxels of each."""
    raw = replace(segmenter, card=replace(segmenter.card, temperature=1.0, biases={}, drift=None))
    return [_sample(raw, case) for case in track(cases, "calibrated")]


def _sample(segmenter: Segmenter, case: PreparedCase) -> Sample:
    result = segmenter(load_image(case.low), interpolated=load_image(case.interpolated))
    truth = segmenter.card.tissues.encode(np.asarray(load_labels(case.labels).dataobj))
    named = np.stack([np.asarray(p.dataobj) for p in result.probabilities.values()], -1)
    (seen,) = np.nonzero((named.sum(-1) > LEAST).ravel() | (truth.ravel() > 0))
    if len(seen) > VOXELS:
        seen = np.random.default_rng(0).choice(seen, VOXELS, replace=False)
    named = named.reshape(-1, named.shape[-1])[seen]
    return Sample(log_probabilities(named), truth.ravel()[seen].astype(int), case.cohort)


def calibrated(card: ModelCard, samples: Sequence[Sample]) -> ModelCard:
    """Return the card with the temperature, and the bias of its main tissue, that suit the samples of `sample_cases`.

    Of biases between 0 and that of the right volume, the farthest of nearly the highest Dice is taken: Dice hardly
    changes while the volume changes by a tenth, so that by Dice alone chance would decide how large the cortex is. Each
    cohort counts alike, however many of its cases there are. Biases of all tissues at once were tried: they made no
    tissue better, and the cortex of fetuses 8 % larger.
    """
    right = np.zeros(1 + len(card.classes))
    tissue = 1 + card.classes.index(main_tissue(card.classes))
    right[tissue] = _right_bias(samples, tissue)
    dices = [_alike([np.nanmean(_overlap(one, share * right)[0]) for one in samples], samples) for share in SHARES]
    biases = SHARES[np.flatnonzero(np.array(dices) >= max(dices) - NEARLY)[-1]] * right

    def loss(log_temperature: float) -> float:
        losses = []
        for one in samples:
            log_p = special.log_softmax((one.log_p + biases) / np.exp(log_temperature), axis=-1)
            losses.append(-np.mean(log_p[np.arange(len(one.truth)), one.truth]))
        return _alike(losses, samples)

    fitted = optimize.minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-3})
    found = {name: round(float(bias), 4) for name, bias in zip(card.classes, biases[1:], strict=True)}
    return replace(card, temperature=round(float(np.exp(fitted.x)), 4), biases=found)


def _right_bias(samples: Sequence[Sample], tissue: int) -> float:
    """Return the bias that gives half of a cohort's cases too much of a tissue and half too little; 0 if none has it.

    A median within two standard errors of 0 is 0: what a head needs differs from head to head by more than 1, and
    chance would decide how large the cortex is.
    """
    wished = np.array([bias_for(one.log_p, tissue, np.count_nonzero(one.truth == tissue)) for one in samples])
    found, known = float(np.nan_to_num(_alike(wished, samples, "median"))), wished[np.isfinite(wished)]
    error = np.sqrt(np.pi / 2 / max(1, len(known))) * stats.median_abs_deviation(known, scale="normal")
    return 0.0 if abs(found) < 2 * error else float(np.clip(found, -LARGEST_BIAS, LARGEST_BIAS))


def _alike(values: Sequence[float], samples: Sequence[Sample], middle: str = "mean") -> float:
    """Return the mean over the cohorts of the mean, or another `middle`, of each one's values; nan does not count."""
    return float(pd.Series(values).groupby(np.array([one.cohort for one in samples])).agg(middle).mean())


def _overlap(sample: Sample, biases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Dice and volume over true volume of each class, (classes,); nan where the truth has none of it."""
    found, n = np.argmax(sample.log_p + biases, axis=1), len(biases)
    true, said = (np.bincount(labels, minlength=n)[1:].astype(float) for labels in (sample.truth, found))
    both = np.bincount(found[found == sample.truth], minlength=n)[1:]
    true[true == 0] = np.nan
    return 2 * both / (true + said), said / true


def effect(card: ModelCard, samples: Sequence[Sample]) -> pd.DataFrame:
    """Return what the card's calibration does to the samples it was learnt from, one row per class.

    Before and after: dice (mean over the cases), volume (median, over the true one), ece (the expected calibration
    error of all cases together).
    """
    after = np.array([0, *(card.biases[name] for name in card.classes)])
    columns = {}
    for when, biases, temperature in (("before", 0 * after, 1.0), ("after", after, card.temperature)):
        dices, volumes = zip(*(_overlap(one, biases) for one in samples), strict=True)
        p = special.softmax(np.concatenate([one.log_p for one in samples]) / temperature + biases / temperature, -1)
        truth = np.concatenate([one.truth for one in samples])
        columns["dice", when], columns["volume", when] = np.nanmean(dices, 0), np.nanmedian(volumes, 0)
        columns["ece", when] = [
            expected_error(reliability_bins(p[:, k], truth == k, np.ones(len(p), bool))) for k in range(1, p.shape[1])
        ]
    return pd.DataFrame(columns, index=list(card.classes))


def contrast_table(segmenter: Segmenter, cases: Sequence[PreparedCase], settings: Settings) -> pd.DataFrame:
    """Re-synthesise heads at random TE, TR and relaxation values, as the training does, and segment their slices.

    One row per head and draw is returned: head, contrast at the tissue's edge, log_ratio of found over true volume;
    none where the training knows no physics of contrast.
    """
    segmenter = replace(segmenter, card=replace(segmenter.card, drift=None))
    number, rows = NUMBERS[main_tissue(segmenter.card.classes)], []
    for case in track(cases if settings.training.contrast_model == "physics" else (), "contrasts"):
        image, labels = load_image(case.hr), np.asarray(load_labels(case.labels).dataobj).astype(np.uint8)
        array, true = np.asarray(image.dataobj, np.float32), labels == number
        signals = tissue_signals(array, labels)
        for draw in range(DRAWS):
            rng = np.random.default_rng([settings.seed, draw, *case.name.encode()])
            drawn = resynthesise(array, labels, signals, draw_signals(rng, settings.training.tissue_spread))
            result = segmenter(settings.simulation.acquire(Nifti1Image(drawn, image.affine), rng), like=image)
            found = np.asarray(result.labels.dataobj) == number
            if found.any() and true.any():
                sides = None if result.sides is None else np.asarray(result.sides.dataobj)
                contrast = darkness(np.asarray(result.image.dataobj), found, sides)
                rows.append((case.name, contrast, np.log(found.sum() / true.sum())))
    return pd.DataFrame(rows, columns=["head", "contrast", "log_ratio"]).dropna()


def with_drift(card: ModelCard, table: pd.DataFrame) -> ModelCard:
    """Return the card with the line of `contrast_table`, the same slope for all heads; none if its slope may be 0."""
    x, y = (table[name] - table.groupby("head")[name].transform("mean") for name in ("contrast", "log_ratio"))
    left = len(table) - table["head"].nunique() - 1
    if left < 1 or not x.any():
        return replace(card, drift=None)
    slope = float((x * y).sum() / (x**2).sum())
    error = np.sqrt(((y - slope * x) ** 2).sum() / left / (x**2).sum())
    if abs(slope) < SURE * error:
        return replace(card, drift=None)
    line = slope, table["contrast"].mean(), *np.percentile(table["contrast"], ENDS)
    return replace(card, drift=Drift(*(round(float(value), 4) for value in line)))
