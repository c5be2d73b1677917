"""Good, look or do not use: rules with hard limits, and the probability that the cortical volume is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from segsrgan_core.classes import SIDES, main_tissue
from segsrgan_core.errors import UserError

VERDICTS = ("good", "look", "do not use")
NEVER = "do not use its volumes"  # in a reason that no volume survives
FILE = "verdict.json"  # beside the weights
CALIBRATED = "calibrated for these weights"
BEYOND = 2.5  # standard deviations from the mean at which a measure stops counting more
COVERAGE = 0.9  # of the volumes' intervals
HALF = 0.5  # of the probability to look suffices with a suspicion
ODDS = 4.0  # log odds beyond which intervals grow no more
SIGNED = ("fitted", "misfit", "slice_mm")  # measures whose logarithms tell whether a volume is too large or too small

# Limits of the rules. The skull's content: 4 standard deviations beyond the mean of fetuses of 21 weeks (51 mL, SD
# 7.5) and of newborns of 45 (546 mL, SD 46; Multi-BOUNTI, see statistics/growth.py). Those of the share, whose means
# are 0.12 to 0.28 there, and of shape are wide on purpose, no published ranges: the fetal atlas of 21 to 34 weeks and
# phantoms of 37 to 44 weeks lie at 52 to 480 mL, shares of 0.11 to 0.25, lengths of 1.1 to 1.35 and heights of 0.84 to
# 0.97 widths (standard deviations).
SKULL_ML = (20.0, 730.0)  # content of the skull
SHARE = (0.05, 0.5)  # cortex over the content of the skull
LENGTH, HEIGHT = (0.9, 1.6), (0.65, 1.2)  # over the width
DARK_SHARE, DARK_MUCH = 0.02, 0.4  # of what was segmented
CUT_CM2 = 2.0  # of brain in a face of the field of view; the spinal cord has less
# What lies beyond the field, over the skull's content; a head that is wrapped around is cut by two sides as well, with
# volumes that are right within 10 %.
LOST, LOST_BY_SEVERAL, SEVERAL = 0.15, 0.1, 3
SOLID = 0.86  # of the convex hull; 0.90 to 0.95 in whole heads, 0.74 to 0.86 with a void of 22 to 30 mm in radius
OUTLINE_CM2 = 25.0  # from there on the outline tells nothing of how the head lies
LOWEST = -0.05  # intensity over bright
TAIL = -0.4  # log of bright over dark spread
FLICKER = np.log(2)
SHIFT_MM = 3.0
JUMP = 1.33  # 1.32 or less in all but one of 347 damaged heads of right volume; 1.34 and more without two slices
DETAIL_MM = 1.22  # within slices; the networks have learnt from 0.8 mm and a blur of up to 0.6
# Outline without CSF where all outside is 0: masks cut back by 2 to 5 mm gave 0.15 to 0.20 in 6 phantoms and 0.10 to
# 0.39 in 8 weeks of the fetal atlas from 27 on; right ones, also 3 mm wider, 0.12 or less (week 26 0.16, younger more).
BARE, NO_AIR = 0.13, 0.0005
SLICE_MM = (1.25, 9.0)  # the verdict is fitted to 2 to 9 mm
BRIGHTEST = 3.0  # over bright; 2.6 by a surface coil
FITTED = (0.85, 1.2)  # cortex that explains the slices over the cortex found
ASYMMETRY = 0.35
PIECES = 0.1
STEM = 0.011  # of the skull's content; 0.014 or more in all heads above
TILT_DEG = 40.0  # 25 or less in all heads above
TURNED_DEG, TURNED_MUCH_DEG = 25.0, 50.0  # 16 or less in 40 phantoms
BACKWARDS = -0.02  # 0.04 or more in 40 phantoms and in the fetal atlas


def reasons(volumes_ml: Mapping[str, float], numbers: Mapping[str, float]) -> list[str]:
    """Return what is wrong or unusual by the rules, a sentence each (docs/results.md).

    Args:
        volumes_ml: by name, of one image.
        numbers: its `measures`; an unknown one, nan, breaks no rule.
    """
    n = SimpleNamespace(**numbers)
    tissue = main_tissue(volumes_ml).replace("_", " ")
    whole = n.cut_cm2 <= OUTLINE_CM2
    rules = [
        (n.dark > DARK_MUCH, f"{_dark(n.dark)}: {NEVER}"),
        (n.copies > 0, f"{n.copies:.0f} slices are exact copies of the one before: what was acquired is missing"),
        (n.tail < TAIL, "fluid is darker than tissue, which is not the contrast of a T2w image"),
        (_outside(n.slice_mm, SLICE_MM), f"no slices of {n.slice_mm:.3g} mm have ever been tried"),
        (
            n.jump > JUMP,
            f"two neighbouring slices differ {n.jump:.2f} times as much as those beside them: slices are missing or "
            "out of order, or the head turned",
        ),
        (
            n.detail_mm > DETAIL_MM,
            f"within slices nothing finer than {n.detail_mm:.1f} mm was acquired, or it was blurred away",
        ),
        (
            abs(n.air) < NO_AIR and n.bare > BARE and not n.flicker > FLICKER,  # empty slices are no mask
            f"{100 * n.bare:.0f} % of the brain's outline has no fluid around it, and all outside is 0: see whether "
            "the mask cuts the cortex",
        ),
        (n.brightest > BRIGHTEST, f"fat or an artefact is {n.brightest:.1f} times as bright as bright tissue"),
        (
            _outside(n.skull_ml, SKULL_ML),
            f"an intracranial volume of {n.skull_ml:.0f} mL is none of a fetus or newborn: {NEVER}",
        ),
        (
            tissue == "cortex" and _outside(n.share, SHARE),
            f"the cortex has {100 * n.share:.0f} % of the skull's content",
        ),
        (
            _outside(n.length, LENGTH) or _outside(n.height, HEIGHT),
            f"the head is {n.length:.2f} times as long and {n.height:.2f} times as high as wide: see whether "
            "it is whole and upright (left and right depend on it) and the voxel sizes of its header are right",
        ),
        (
            n.stem < STEM or n.tilt_deg > TILT_DEG,
            "brainstem and cerebellum are not where they belong: the head is turned in the field, so that left and "
            "right may be exchanged, or its lower part is missing",
        ),
        (whole and n.turned_deg > TURNED_MUCH_DEG, _turned(n.turned_deg)),
        (
            whole and n.turned_deg <= TURNED_MUCH_DEG and n.upright < BACKWARDS,
            "by its outline the head faces backwards or lies on its top, so that left and right may be exchanged, or "
            "the voxel sizes in its header are wrong",
        ),
        (n.sides >= SEVERAL and n.lost > LOST_BY_SEVERAL, _cut(n)),
        (
            n.solid < SOLID and n.cut_cm2 <= CUT_CM2,  # what is wrapped around lies in two places
            f"the skull's content has a dent or a hole ({100 * n.solid:.0f} % of its convex hull): see whether a part "
            "of the brain, or its signal, is missing",
        ),
        (
            _outside(n.fitted, FITTED),
            f"the slices would be explained better by {n.fitted:.2f} times as much cortex: it may be much "
            f"{'thicker' if n.fitted > 1 else 'thinner'} than what the network has learnt from",
        ),
        (n.asymmetry > ASYMMETRY, f"left and right {tissue} differ by {100 * n.asymmetry:.0f} % of their sum"),
    ]
    missing = [] if volumes_ml[main_tissue(volumes_ml)] else [f"no {tissue} was found: {NEVER}"]
    return missing + [sentence for holds, sentence in rules if holds]


def suspicions(volumes_ml: Mapping[str, float], numbers: Mapping[str, float]) -> list[str]:
    """Return what often makes a volume wrong: with it, half of the model's probability suffices; as `reasons`."""
    n = SimpleNamespace(**numbers)
    tissue = main_tissue(volumes_ml).replace("_", " ")
    rules = [
        (n.lost > LOST, _cut(n)),
        (n.shift_mm > SHIFT_MM, f"slices are displaced by {n.shift_mm:.1f} mm or more"),
        (n.pieces > PIECES, f"{100 * n.pieces:.0f} % of the {tissue} lies apart from the rest"),
    ]
    return [sentence for holds, sentence in rules if holds]


def remarks(volumes_ml: Mapping[str, float], numbers: Mapping[str, float]) -> list[str]:
    """Return what may or may not make a volume wrong, which the model knows better than a limit, as `reasons` does."""
    n = SimpleNamespace(**numbers)
    others = [name for name in volumes_ml if name != main_tissue(volumes_ml) and name.partition("_")[0] not in SIDES]
    missing = [name.replace("_", " ") for name in others if not volumes_ml[name]]
    rules = [
        (len(missing) > 0, f"nothing was found of: {', '.join(missing)}"),
        (n.flicker > FLICKER, "a slice is empty, or much darker or brighter than its neighbours"),
        (DARK_SHARE < n.dark <= DARK_MUCH, _dark(n.dark)),
        (n.lowest < LOWEST, "there are negative intensities, which no scanner makes"),
        (n.cut_cm2 > CUT_CM2 and not n.lost > LOST, _cut(n)),
        (TURNED_DEG < n.turned_deg <= TURNED_MUCH_DEG and n.cut_cm2 <= OUTLINE_CM2, _turned(n.turned_deg)),
    ]
    return [sentence for holds, sentence in rules if holds]


def _dark(share: float) -> str:
    return f"{100 * share:.0f} % of what was segmented lies in the dark background"


def _cut(n: SimpleNamespace) -> str:
    missing = "much of it" if n.lost >= 1 else f"up to {100 * n.lost:.0f} % of it" if n.lost >= 0.01 else "some of it"
    return f"the brain reaches the edge of the field of view ({n.cut_cm2:.0f} cm2): {missing} may be missing"


def _turned(degrees: float) -> str:
    return f"the head is turned to a side by {degrees:.0f} degrees"


def _outside(value: float, limits: tuple[float, float]) -> bool:
    return value < limits[0] or value > limits[1]


@dataclass(frozen=True)
class Logistic:
    """A logistic model of "the volume of the tissue is wrong by more than 10 %"; the content of `verdict.json`.

    What the slices say lets the logarithm of true over found volume be expected: linear in the logarithms of `SIGNED`,
    0 where one is unknown. What remains has the size exp(intercept + sum of linear z + squared z^2). There a measure x
    enters as z = (f(x) - mean) / scale, at most 2.5 from 0, an unknown one as 0; f is the logarithm for measures that
    `logarithm` names, else the identity. The log odds are linear in the logarithm of both together, the hypotenuse.
    With odds o, a volume is w times exp(low o^slope) to w times exp(high o^slope) with 90 %, where w is the volume
    found times the expected ratio to the power of its shift.

    Attributes:
        weights_sha256: checksum of the weights and their card for which it holds.
        measures: names.
        logarithm: names of those that enter as logarithms.
        means: of f(x).
        scales: standard deviations of f(x).
        linear: coefficients of z.
        squared: coefficients of z squared.
        intercept: of the size.
        look: probability from which an image is to be looked at; half of it with `suspicions`.
        never: probability from which its volumes are not to be used.
        signed: coefficients of the expected ratio, a constant last; none where it is not known.
        offset, steepness: of the log odds.
        slopes: by name of the volume, how its interval widens with the odds.
        shifts: by name of the volume, how its ratio follows the expected one.
        ends: by name of the volume, low and high of good cases and of marked ones, see `group_of`.
    """

    weights_sha256: str
    measures: tuple[str, ...]
    logarithm: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    linear: tuple[float, ...]
    squared: tuple[float, ...]
    intercept: float
    look: float
    never: float
    signed: tuple[float, ...] = ()
    offset: float = 0.0
    steepness: float = 1.0
    slopes: dict[str, float] = field(default_factory=dict)
    shifts: dict[str, float] = field(default_factory=dict)
    ends: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)

    def terms(self, numbers: Mapping[str, float]) -> np.ndarray:
        """Return what each measure adds to the logarithm of the size."""
        z = standardised(transformed(numbers, self.measures, self.logarithm), self.means, self.scales)
        return z * self.linear + z**2 * self.squared

    def probability(self, numbers: Mapping[str, float]) -> float:
        """Return the probability that the volume is wrong by more than 10 %."""
        return float(1 / (1 + np.exp(-self.log_odds(numbers))))

    def expected(self, numbers: Mapping[str, float]) -> float:
        """Return the logarithm of true over found volume of the tissue that is expected by what the slices say."""
        logs = [np.log(numbers[name]) for name in SIGNED]
        return float(np.nan_to_num(np.dot([*logs, 1.0], self.signed))) if self.signed else 0.0

    def log_odds(self, numbers: Mapping[str, float]) -> float:
        """Return the logarithm of the odds that the volume is wrong by more than 10 %."""
        return float(self.offset + self.steepness * sum(self._log_error(numbers)))

    def _log_error(self, numbers: Mapping[str, float]) -> tuple[float, float]:
        """Return the logarithm of the size of what remains, and what the expected ratio adds to it."""
        size = self.intercept + self.terms(numbers).sum()
        return size, np.log(np.hypot(1, self.expected(numbers) / np.exp(size)))

    def interval(self, name: str, log_odds: float, expected: float) -> tuple[float, float]:
        """Return the expected logarithm of true over found volume, and how wrong it is, relative to even odds."""
        return self.shifts.get(name, 0.0) * expected, np.exp(self.slopes[name] * np.clip(log_odds, -ODDS, ODDS))

    def intervals_ml(
        self, volumes_ml: Mapping[str, float], numbers: Mapping[str, float], verdict: str
    ) -> dict[str, list[float]]:
        """Return low and high of the true volume in ml, with 90 %, by name of each volume that was found.

        Args:
            volumes_ml: by name, of one image; those that the model does not know are left out.
            numbers: its `measures`.
            verdict: on it.
        """
        found, case = {}, (self.log_odds(numbers), self.expected(numbers))
        for name, groups in self.ends.items():
            ends = groups.get(group_of(verdict))
            if ends and volumes_ml.get(name, 0) > 0:
                centre, scale = self.interval(name, *case)
                found[name] = [volumes_ml[name] * float(np.exp(centre + end * scale)) for end in ends]
        return found

    def drivers(self, numbers: Mapping[str, float]) -> list[str]:
        """Return the names of the two measures that raise the probability most, with their values."""
        terms = self.terms(numbers)
        if self.signed:
            terms[self.measures.index("fitted")] += self._log_error(numbers)[1]
        return [f"{self.measures[i]} {numbers[self.measures[i]]:.3g}" for i in np.argsort(-terms)[:2] if terms[i] > 0]


def group_of(verdict: str) -> str:
    """Return the group of a case whose intervals have ends of their own: good, or marked."""
    return verdict if verdict == VERDICTS[0] else "marked"


def transformed(numbers: Mapping[str, Any], names: Sequence[str], logarithm: Sequence[str]) -> np.ndarray:
    """Return f of measures, float64 (n,), or (n, cases) for columns of a table; nan where unknown."""
    rows = [np.asarray(numbers[name], float) for name in names]
    return np.stack([np.log(np.maximum(x, 1e-6)) if n in logarithm else x for n, x in zip(names, rows, strict=True)])


def standardised(values: np.ndarray, means: Sequence[float], scales: Sequence[float]) -> np.ndarray:
    """Return values (n, ...) over their scales, unknown ones as 0 and none beyond `BEYOND`."""
    wide = (len(means), *[1] * (values.ndim - 1))
    z = (values - np.reshape(means, wide)) / np.reshape(scales, wide)
    return np.clip(np.nan_to_num(z, nan=0.0, posinf=BEYOND, neginf=-BEYOND), -BEYOND, BEYOND)


def read_logistic(model: Path, weights_sha256: str) -> Logistic | None:
    """Return the logistic model beside a network's weights; None if there is none for these weights and this card.

    Raises:
        UserError: the file is damaged.
    """
    path = model / FILE
    if not path.is_file():
        return None
    try:
        found = TypeAdapter(Logistic).validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not a model of the verdict; copy the weights again, or remove it.") from error
    return found if found.weights_sha256 == weights_sha256 else None


def checksum(weights: Mapping[str, str]) -> str:
    """Return the checksum of weights and card out of the identity that the record of a case holds."""
    return f"{weights['Sha256']};{weights['CardSha256']}"


def judge(
    doubts: Sequence[str],
    suspicions: Sequence[str],
    remarks: Sequence[str],
    numbers: Mapping[str, float],
    logistic: Logistic | None,
) -> dict[str, Any]:
    """Return the verdict on a case, for its record.

    Args:
        doubts: `reasons`, and what of the header does not fit, a sentence each.
        suspicions: of `suspicions`.
        remarks: of `remarks`, and the segmenter's own notes; where there is a model, which was fitted to such images,
            neither they nor suspicions alone make a case one to look at.
        numbers: `measures` of the case.
        logistic: None where the weights have none; then the sentences decide.

    Returns:
        Verdict: one of `VERDICTS`. Notes: all sentences. Probability: that the volume is wrong by more than 10 %, None
        without a model. Calibration: in words.
    """
    notes = list(dict.fromkeys([*doubts, *suspicions, *remarks]))
    grade = 1 if doubts or (notes and not logistic) else 0
    probability = logistic.probability(numbers) if logistic else None
    if logistic and probability >= logistic.look * (HALF if suspicions else 1):
        drivers = " and ".join(logistic.drivers(numbers)) or "all measures together"
        sentence = f"the volume of the cortex is wrong by more than 10 % with a probability of {probability:.2f}"
        notes.append(f"{sentence} ({drivers})")
        grade = 1 if probability < logistic.never else 2
    if any(NEVER in note for note in notes):
        grade = 2
    return {
        "Verdict": VERDICTS[grade],
        "Notes": notes,
        "Probability": probability,
        "Calibration": CALIBRATED if logistic else "not calibrated for these weights: by the notes alone",
    }
