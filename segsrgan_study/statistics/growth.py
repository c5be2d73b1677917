"""Growth curves: volumes against age with their spread between subjects, published or fitted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special  # scipy.stats takes long to import

from segsrgan_core.classes import NUMBERS, SIDES
from segsrgan_core.errors import UserError
from segsrgan_study.faults import sentence
from segsrgan_study.files import ALIASES

LEVELS = (0.025, 0.975)  # ends of the expected range: 95 % of the subjects
FEWEST, FEWEST_BENT = 6, 20  # subjects for a straight line, and for a quadratic
LARGEST_ML = 2500.0  # of a reference; more is mm3
POSSIBLE_WEEKS = (15.0, 100.0)  # others are days, years or mistakes
COLUMNS = ("age_weeks", "tissue", "volume_ml")  # of a reference table
TISSUES = (*NUMBERS, "intracranial")

# Mean and standard deviation (mL) over age (weeks) as quadratics, highest power first: Uus et al. 2026, "Multi-BOUNTI:
# multi-lobe brain volumetry and segmentation for fetal and neonatal MRI", medRxiv 2026.04.21.26351376, 3 T; numbers of
# the authors' reports (github.com/SVRTK/perinatal-brain-mri-analysis, scripts/auto-reporting-*-{neo,fetal}.py at
# cc384d7): total_brain (labels 1 to 43, CSF included), total_cortical_GM and total_WM. Of the tissues the mean alone is
# taken: programs draw their borders differently, and a z would mostly say so. At 40 weeks the cortex has 106 mL here,
# and 140 mL (SD 47) in very preterm infants of 37 to 42 weeks, pooled over studies (Romberg et al. 2022, Arch Dis Child
# Fetal Neonatal Ed 107: 520).
UNKNOWN = (np.nan,)
PUBLISHED = {
    "newborn": {
        "cortex": ((0.1725, -4.7531, 20.0), UNKNOWN),
        "intracranial": ((0.0665886792, 18.4746534992, -420.3517786286), (0.016149659, 0.4801994219, -8.53834568)),
        "white": ((-0.1983, 20.447, -350.0), UNKNOWN),
    },
    "fetus": {
        "cortex": ((0.2637, -10.563, 115.0), UNKNOWN),
        "intracranial": ((0.0560772599, 18.3842256464, -360.0482741673), (-0.0007142224, 1.1641566302, -16.6440446986)),
        "white": ((-0.0113602088, 8.7971300682, -165.3627386094), UNKNOWN),
    },
}
AGES_WEEKS = {"newborn": (25.0, 45.0), "fetus": (20.0, 40.0)}


@dataclass(frozen=True)
class Curve:
    """One volume over age: at each age, volume or its logarithm is a t distribution about a mean."""

    ages_weeks: tuple[float, float]  # first and last age for which it holds
    mean: Callable[[np.ndarray], np.ndarray]  # of the volume in mL, or of its logarithm, by age in weeks
    sd: Callable[[np.ndarray], np.ndarray]  # of a new subject; nan where unknown, then there is neither range nor z
    freedom: float = np.inf  # degrees of freedom; inf is the normal distribution
    logarithm: bool = False  # whether mean and sd are of the logarithm

    def expected(self, age_weeks: float | np.ndarray) -> np.ndarray:
        """Return in mL the low end of the range, the middle and the high end, (3, ...); nan outside its ages."""
        age = self._inside(age_weeks)
        low, high = (self.mean(age) + special.stdtrit(self.freedom, level) * self.sd(age) for level in LEVELS)
        volumes = [low, self.mean(age), high]
        return np.exp(volumes) if self.logarithm else np.stack(volumes)

    def z(self, age_weeks: float | np.ndarray, volume_ml: float | np.ndarray) -> np.ndarray:
        """Return how many standard deviations a volume above 0 lies from the mean of its age; nan outside its ages."""
        age = self._inside(age_weeks)
        with np.errstate(divide="ignore"):
            value = np.log(volume_ml) if self.logarithm else np.asarray(volume_ml, float)
        t = (value - self.mean(age)) / self.sd(age)
        tail = -special.ndtri(special.stdtr(self.freedom, -np.abs(t)))  # of the upper tail, which keeps its digits
        return np.sign(t) * tail

    def _inside(self, age_weeks: float | np.ndarray) -> np.ndarray:
        age, (low, high) = np.asarray(age_weeks, float), self.ages_weeks
        return np.where((age >= low) & (age <= high), age, np.nan)


def fit_curve(ages_weeks: np.ndarray, volumes_ml: np.ndarray) -> Curve:
    """Fit the logarithm of volumes (n,) over age by least squares: a line, or a quadratic from 20 subjects on.

    The curve's spread is that of a new subject's prediction interval: residuals and the fit's own uncertainty.
    ValueError where there are too few subjects or ages, or a volume is not above 0.
    """
    ages, volumes = (np.asarray(values, float) for values in (ages_weeks, volumes_ml))
    if len(ages) < FEWEST or len(np.unique(ages)) < 3 or not (volumes > 0).all():
        raise ValueError(f"a growth curve needs {FEWEST} subjects of three ages or more, with volumes above 0")
    degree = 2 if len(ages) >= FEWEST_BENT and len(np.unique(ages)) > 3 else 1
    centre = ages.mean()
    coefficients, inverse = np.polyfit(ages - centre, np.log(volumes), degree, cov="unscaled")
    freedom = len(ages) - degree - 1
    sigma = np.sqrt(((np.log(volumes) - np.polyval(coefficients, ages - centre)) ** 2).sum() / freedom)

    def sd(age: np.ndarray) -> np.ndarray:
        powers = np.stack([(np.asarray(age) - centre) ** power for power in range(degree, -1, -1)])
        return sigma * np.sqrt(1 + np.einsum("i...,ij,j...->...", powers, inverse, powers))

    ends = (float(ages.min()), float(ages.max()))
    return Curve(ends, lambda age: np.polyval(coefficients, age - centre), sd, freedom, logarithm=True)


def left_out_z(ages_weeks: np.ndarray, volumes_ml: np.ndarray) -> np.ndarray:
    """Return the z of each subject by the curve of all others, (n,), as `fit_curve`; nan outside of their ages."""
    ages, volumes = (np.asarray(values, float) for values in (ages_weeks, volumes_ml))
    others = [np.arange(len(ages)) != i for i in range(len(ages))]
    return np.array([fit_curve(ages[kept], volumes[kept]).z(ages[~kept], volumes[~kept])[0] for kept in others])


@dataclass(frozen=True)
class Reference:
    """What volumes are compared with."""

    source: str  # in words
    curves: Mapping[str, Curve]  # by name of the volume, such as `cortex` or `left_cortex`
    weights: frozenset[str] = frozenset()  # first 12 digits of the weights that made it; empty: any may be compared
    stage: str = "newborn"  # of life, whose published intracranial volumes are usual


def find_reference(word: str) -> Reference:
    """Return the published curves `newborn` or `fetus`, or those fitted to a table; UserError where it cannot be used.

    A table is a CSV or TSV with the columns age_weeks, tissue and volume_ml, such as the `volumes.tsv` of one's own
    controls. Of a subject (or participant_id) the first row counts, of side all; rows whose verdict is "do not use" are
    left out. Weights are unknown where the cell, or the column, is empty.
    """
    if word in PUBLISHED:
        source = f"Multi-BOUNTI, {word} (Uus et al. 2026), 3 T, segmented by another program"
        quadratics = {name: [np.poly1d(one) for one in pair] for name, pair in PUBLISHED[word].items()}
        curves = {name: Curve(AGES_WEEKS[word], *pair) for name, pair in quadratics.items()}
        return Reference(source, curves, stage=word)
    path = Path(word)
    try:
        rows = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", dtype=str)
        rows = rows.astype({"age_weeks": float, "volume_ml": float, "tissue": str}).dropna(subset=["age_weeks"])
    except (OSError, ValueError, KeyError) as error:
        table = f"a table (.csv, .tsv) with the columns {', '.join(COLUMNS)}, ages and volumes being numbers"
        raise UserError(f"{path}: a reference is newborn, fetus, or {table} ({sentence(error)}).") from error
    if not rows["age_weeks"].between(*POSSIBLE_WEEKS).all():
        between = "{:g} and {:g}".format(*POSSIBLE_WEEKS)
        raise UserError(f"{path}: postmenstrual ages must lie between {between} weeks; correct age_weeks.")
    rows = rows[rows.get("verdict", pd.Series("", rows.index)) != "do not use"]
    sides = rows.get("side", pd.Series("both", rows.index)).astype(str).str.lower()
    for column, cells, known in (("side", sides, ("both", *SIDES)), ("tissue", rows["tissue"], TISSUES)):
        if strange := sorted({*cells} - {*known}):
            raise UserError(f"{path}: {column} {strange[0]!r} is none of {', '.join(known)}; correct this column.")
    if (rows["volume_ml"] > LARGEST_ML).any():
        raise UserError(f"{path}: there are volumes above {LARGEST_ML:g} mL; give volume_ml in mL.")
    rows = rows.assign(name=np.where(sides.isin(SIDES), sides + "_" + rows["tissue"], rows["tissue"]))
    if ids := [name for name in rows if ALIASES.get(name.lower(), name.lower()) == "subject"]:
        rows = rows.drop_duplicates([ids[0], "name"])
    curves, parts = {}, rows.groupby("name")
    for name, part in parts:
        try:
            curves[name] = fit_curve(part["age_weeks"], part["volume_ml"])
        except ValueError as error:
            raise UserError(f"{path}: {name.replace('_', ' ')}: {error}.") from error
    if not curves:
        raise UserError(f"{path}: no row gives the age of a subject; fill in the column age_weeks.")
    made_by = frozenset(rows["weights_sha256"].dropna()) if "weights_sha256" in rows else frozenset()
    return Reference(f"{path.name}, {parts.size().max()} subjects", curves, made_by)
