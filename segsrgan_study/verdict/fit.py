"""The logistic model of the verdict, fitted to damaged heads of known volume and tested on other heads."""

import json
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image
from scipy import stats

from segsrgan_core.atomic import write_json
from segsrgan_core.classes import Classes, main_tissue
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.segmenter import Segmenter, volumes_ml
from segsrgan_study.boxes import crop, head_box
from segsrgan_study.cohorts.manifest import image_rows
from segsrgan_study.cohorts.schema import Row
from segsrgan_study.engines import load_segmenter
from segsrgan_study.motion import brought_back
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, code_digest, digest
from segsrgan_study.pool import map_cases, results
from segsrgan_study.steps.data.images import load_sides, load_truth
from segsrgan_study.steps.data.prepare import load_cohort, make_phantoms
from segsrgan_study.verdict.damage import KINDS, Head
from segsrgan_study.verdict.intervals import RATIO
from segsrgan_study.verdict.measures import MEASURES, measures
from segsrgan_study.verdict.rule import (
    HALF,
    SIGNED,
    Logistic,
    judge,
    reasons,
    remarks,
    standardised,
    suspicions,
    transformed,
)

WRONG, VERY_WRONG = 0.10, 0.20  # errors of the volume over the true volume
LOGARITHMS = (
    *("snr", "brightest", "shift_mm", "shift_rms_mm", "slice_mm", "skull_ml", "share", "sheet_mm", "doubt"),
    *("disagreement", "length", "height", "change", "fitted", "misfit"),
)
FEWEST = 20  # cases from which the signed error is learnt
FLOOR = 0.02  # of an error, which makes its logarithm finite
KINDS_A_HEAD = 8
NEVER = 0.9
PENALTIES = np.logspace(0.5, 3, 6)  # strength of the ridge
MARGIN_VOXELS = 6
COLUMNS = ("head", "cohort", "held_out", "kind", "error", "told", "volumes_ml", "ratios")


class KnownHead(NamedTuple):
    """A head of known volume."""

    settings: Settings  # with its cohort
    row: Row  # of the manifest; `image` is of high resolution
    held_out: bool  # kept for the test


def known_heads(study: Study, settings: Settings) -> list[KnownHead]:
    """Make phantoms of a seed of their own, and read the fetal atlas; half of the heads are held out.

    Phantoms for training and the first half of the patients are for the fit, one echo time a patient. Of the fetal
    atlas the weeks of training are for the fit; those that no network learns from are held out.

    Args:
        study: where the phantoms are made; the atlas is found, or downloaded, by its repository.
        settings: of the phantoms.

    Raises:
        UserError: the fetal atlas is not there and cannot be downloaded.
    """
    atlas = settings.model_copy(update={"cohort": "fetal_atlas"})
    weeks = load_cohort(study, atlas.cohort)
    heads = [KnownHead(atlas, row, False) for row in image_rows(weeks, "train")]
    heads += [KnownHead(atlas, row, True) for split in ("val", "test") for row in image_rows(weeks, split)]
    settings = settings.model_copy(update={"cohort": "embedded"})
    phantoms = make_phantoms(study, settings)
    for split in ("train", "val", "test"):
        heads += [KnownHead(settings, row, split == "test") for row in image_rows(phantoms, split)]
    patients = image_rows(phantoms, "variability")
    for number, subject in enumerate(sorted({row.subject for row in patients})):
        echoes = [row for row in patients if row.subject == subject]
        row = echoes[number % len(echoes)]
        heads.append(KnownHead(settings, row._replace(image=row.hr), bool(number % 2)))
    return heads


def case_table(study: Study, heads: list[KnownHead], model: Path, weights_sha256: str) -> pd.DataFrame:
    """Damage each head in eight ways, drawn at random, segment it and measure; what the same code did is kept.

    Args:
        study: whose scratch keeps what was measured.
        heads: of `known_heads`.
        model: folder of the network.
        weights_sha256: checksum of the network.

    Returns:
        A row a case: head, cohort, held_out, kind, error (volume of the judged tissue over the true one, minus 1), told
        (a list: what the segmenter said, or why it refused), doubts, suspicions and remarks (see `rule.judge`), the
        measures, and by name of each volume `ratio_NAME`, the logarithm of true over found volume, nan where one is 0.
    """
    work = partial(_head_cases, study, model, weights_sha256)
    found = map_cases(work, heads, "heads damaged", heads[0].settings.workers, 2.0, name=lambda head: head.row.subject)
    rows = [row for group in results(found, "heads", lambda head: head.row.subject) for row in group]
    table = pd.DataFrame([row | row["numbers"] for row in rows])[[*COLUMNS, *MEASURES]]
    ratios = pd.DataFrame(table.pop("ratios").tolist(), dtype=float).add_prefix(RATIO)
    volumes, numbers = table.pop("volumes_ml"), table[list(MEASURES)].astype(float).to_dict("records")
    cases = list(zip(table["told"], volumes, numbers, strict=True))
    doubts = [reasons(*known) if known[0] else told for told, *known in cases]  # no volumes: it was refused
    signs = [suspicions(*known) if known[0] else [] for _, *known in cases]
    more = [[*told, *remarks(*known)] if known[0] else [] for told, *known in cases]
    return table.assign(doubts=doubts, suspicions=signs, remarks=more).join(ratios)


@lru_cache(maxsize=1)
def _segmenter(model: Path) -> Segmenter:
    return load_segmenter(model)


def _head_cases(study: Study, model: Path, weights_sha256: str, head: KnownHead) -> list[dict[str, Any]]:
    parts = ("motion.py", "shapes", "verdict/damage.py", "verdict/borders.py", "verdict/measures.py")
    code = code_digest("segsrgan_core", *(f"segsrgan_study/{part}" for part in parts))
    settings, row = head.settings.model_dump_json(), head.row
    recipe = [row.sha256, row.image, str(head.held_out), weights_sha256, code, settings]
    path = study.scratch / "cases" / f"{head.row.subject}_{digest(recipe)[:16]}.json"
    if not path.is_file():
        high, true_ml = load_head(study, head, _segmenter(model).card.tissues)
        write_json(path, [_case(high, true_ml, kind, head, _segmenter(model)) for kind in kinds_of(head)])
    return json.loads(path.read_text())


def kinds_of(head: KnownHead) -> list[str]:
    """Return the kinds of damage of a head, drawn by its name and the seed alone."""
    rng = np.random.default_rng([head.settings.seed, *f"{head.row.subject} kinds".encode()])
    return sorted(rng.choice(list(KINDS), KINDS_A_HEAD, replace=False), key=list(KINDS).index)


def load_head(study: Study, head: KnownHead, classes: Classes) -> tuple[Head, dict[str, float]]:
    """Return a head, cropped, and the true volumes in mL of the classes, named as those of a `Segmentation`."""
    image, labels = load_truth(study, head.settings, head.row)
    sides = load_sides(study, head.settings, head.row, image, labels) if classes.hemispheres else None
    arrays = [None if one is None else np.asarray(one.dataobj) for one in (labels, sides)]
    true_ml = volumes_ml(classes, *arrays, voxel_volume_ml(labels))
    array = np.clip(np.asarray(image.dataobj, np.float32), 0, None)
    image = crop(Nifti1Image(array, image.affine), head_box(array, MARGIN_VOXELS))
    return Head(image, head.settings.simulation), true_ml


def damaged(high: Head, kind: str, head: KnownHead) -> Nifti1Image:
    """Damage a head in one way; the strength depends on seed, head and kind alone."""
    return KINDS[kind](high, np.random.default_rng([head.settings.seed, *f"{head.row.subject} {kind}".encode()]))


def _case(high: Head, true_ml: dict[str, float], kind: str, head: KnownHead, segmenter: Segmenter) -> dict[str, Any]:
    row = {"head": head.row.subject, "cohort": head.settings.cohort, "held_out": head.held_out, "kind": kind}
    low = damaged(high, kind, head)
    try:
        still = brought_back(low)[0]
        result = segmenter(still)
        numbers = measures(low, still, result)
    except UserError as error:
        refused = {"error": None, "told": [f"refused: {error}"], "volumes_ml": {}, "ratios": {}}
        return row | refused | {"numbers": dict.fromkeys(MEASURES)}
    found_ml, tissue = result.volumes_ml, main_tissue(true_ml)
    row |= {"error": found_ml[tissue] / true_ml[tissue] - 1, "told": result.notes, "numbers": numbers}
    ratios = {name: float(np.log(ml / found_ml[name])) for name, ml in true_ml.items() if ml and found_ml[name]}
    return row | {"volumes_ml": found_ml, "ratios": ratios}


def fit_logistic(table: pd.DataFrame, weights_sha256: str) -> Logistic:
    """Fit how wrong volumes are, and the odds that the judged one is wrong by more than 10 %.

    Robust regression of the signed error on what the slices say; ridge regression of the logarithm of the size of what
    remains, which knows more of a case than on which side of 10 % it lies; then logistic regression on both together,
    the size predicted for heads that it has not seen. On these predictions depend the penalty, the threshold to look,
    and the slope of each volume: that of the logarithm of its error's size on the log odds.

    Args:
        table: of `case_table`, cases for the fit alone.
        weights_sha256: checksum of the network.
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GroupKFold, cross_val_predict

    table = table.dropna(subset="error")
    known, wrong = transformed(table, list(MEASURES), LOGARITHMS), table["error"].abs() > WRONG
    low, high = np.nan_to_num(np.nanpercentile(known, [2, 98], axis=1))[..., None]  # a few extremes do not decide
    usual = np.clip(known, low, high)
    means, scales = (np.nan_to_num(of(usual, axis=1)) for of in (np.nanmean, np.nanstd))
    scales = np.where(scales > 1e-6, scales, 1.0)
    z = standardised(known, means, scales).T
    log_ratio = -np.log(np.maximum(1 + table["error"], FLOOR))
    signed, expected = _signed(table, log_ratio)
    x, size = np.hstack([z, z**2]), _log_size(log_ratio - expected)
    folds = list(GroupKFold(min(10, table["head"].nunique())).split(x, groups=table["head"]))
    models = [Ridge(penalty) for penalty in PENALTIES]
    apart = [cross_val_predict(one, x, size, cv=folds) for one in models]
    best = int(np.argmin([np.mean(np.square(size - one)) for one in apart]))
    both = np.log(np.hypot(np.exp(apart[best]), expected))[:, None]
    model, platt = models[best].fit(x, size), LogisticRegression(C=1e3).fit(both, wrong)
    odds, ratios = platt.decision_function(both), table.filter(regex=f"^{RATIO}")
    ratios = ratios.rename(columns=lambda name: name.removeprefix(RATIO))
    shifts = {name: _shift(expected, ratios[name.removeprefix("left_").removeprefix("right_")]) for name in ratios}
    return Logistic(
        weights_sha256,
        tuple(MEASURES),
        LOGARITHMS,
        *(tuple(map(float, column)) for column in (means, scales, *np.split(model.coef_, 2))),
        intercept=float(model.intercept_),
        look=_threshold(1 / (1 + np.exp(-odds)), table),
        never=NEVER,
        signed=signed,
        steepness=float(platt.coef_[0, 0]),
        offset=float(platt.intercept_[0]),
        slopes={name: _slope(odds, ratios[name] - shifts[name] * expected) for name in ratios},
        shifts=shifts,
    )


def _signed(table: pd.DataFrame, log_ratio: pd.Series) -> tuple[tuple[float, ...], np.ndarray]:
    """Return the coefficients of the expected logarithm of true over found volume, and that of each case."""
    from sklearn.linear_model import HuberRegressor

    logs, expected = np.log(table[list(SIGNED)].to_numpy(float)), np.zeros(len(table))
    known = np.isfinite(logs).all(axis=1)
    if known.sum() < FEWEST:
        return (), expected
    model = HuberRegressor(max_iter=1000).fit(logs[known], log_ratio[known])
    expected[known] = model.predict(logs[known])
    return (*map(float, model.coef_), float(model.intercept_)), expected


def _threshold(probability: np.ndarray, table: pd.DataFrame) -> float:
    """Return the probability from which marking finds most volumes wrong by more than 20 % less good ones marked.

    It is Youden's index (Cancer 3, 1950) of all marks, as `rule.judge` gives them.
    """
    error, ruled = table["error"].abs(), table["doubts"].str.len() > 0
    share = np.where(table["suspicions"].str.len() > 0, HALF, 1)

    def index(at: float) -> float:
        marked = ruled | (probability >= share * at)
        very, good = (marked[chosen].sum() / max(1, chosen.sum()) for chosen in (error > VERY_WRONG, error <= WRONG))
        return very - good

    return float(max(np.sort(probability), key=index))


def _log_size(log_ratio: pd.Series) -> pd.Series:
    return np.log(np.minimum(log_ratio.abs(), 1) + FLOOR)


def _slope(log_odds: np.ndarray, log_ratio: pd.Series) -> float:
    """Return the slope of the errors' size on the log odds, not below 0; 0 where too few are known."""
    known = log_ratio.notna().to_numpy()
    if known.sum() < 3 or np.ptp(log_odds[known]) == 0:
        return 0.0
    return max(0.0, float(np.polyfit(log_odds[known], _log_size(log_ratio[known]), 1)[0]))


def _shift(expected: np.ndarray, log_ratio: pd.Series) -> float:
    """Return how a volume follows the expected ratio of the tissue (Theil and Sen); 0 where that is not certain."""
    known = (expected != 0) & log_ratio.notna().to_numpy()
    if known.sum() < FEWEST:
        return 0.0
    slope, _, low, high = stats.theilslopes(log_ratio[known], expected[known])
    return 0.0 if low < 0 < high else float(slope)


def judged(table: pd.DataFrame, logistic: Logistic | None) -> pd.DataFrame:
    """Add the columns verdict, probability, notes, log_odds and expected to a table of `case_table`."""
    numbers = table[list(MEASURES)].astype(float).to_dict("records")
    cases = zip(table["doubts"], table["suspicions"], table["remarks"], numbers, strict=True)
    found = [judge(*case, logistic) for case in cases]
    columns = {name: [one[name.capitalize()] for one in found] for name in ("verdict", "probability", "notes")}
    odds = [logistic.log_odds(one) if logistic else np.nan for one in numbers]
    expected = [logistic.expected(one) if logistic else 0.0 for one in numbers]
    return table.assign(**columns, log_odds=odds, expected=expected)


def rates(table: pd.DataFrame) -> dict[str, float]:
    """Return how well the verdict does on a table of `judged`.

    Returns:
        Number of cases; auc: area under the curve of the probability for errors above 10 %, and auc_very: for those
        above 20 % against the good ones; found: share of the errors above 20 % that are marked "look" or "do not use"
        or refused; disturbed: share of the good ones, within 10 %, that are marked; the same of "do not use" alone.
    """
    from sklearn.metrics import roc_auc_score

    error, marked, never = table["error"].abs(), table["verdict"] != "good", table["verdict"] == "do not use"
    known = error.notna()
    clear = (error <= WRONG) | (error > VERY_WRONG)
    return {
        "cases": len(table),
        "refused": int((~known).sum()),
        "wrong": int((error > WRONG).sum()),
        "very_wrong": int((error > VERY_WRONG).sum()),
        "auc": float(roc_auc_score(error[known] > WRONG, table["probability"][known])),
        "auc_very": float(roc_auc_score(error[clear] > WRONG, table["probability"][clear])),
        "found": float(marked[error > VERY_WRONG].mean()),
        "disturbed": float(marked[error <= WRONG].mean()),
        "never_of_very_wrong": float(never[error > VERY_WRONG].mean()),
        "never_of_good": float(never[error <= WRONG].mean()),
    }
