"""The logistic model of the verdict, fitted to damaged heads of known volume and tested on other heads."""

import json
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.classes import NUMBERS
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.segmenter import Segmenter
from segsrgan_study.boxes import crop, head_box
from segsrgan_study.cohorts.manifest import image_rows
from segsrgan_study.cohorts.schema import Row
from segsrgan_study.engines import load_segmenter
from segsrgan_study.motion import brought_back
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study, code_digest, digest
from segsrgan_study.pool import map_cases, results
from segsrgan_study.steps.data.images import load_truth
from segsrgan_study.steps.data.prepare import load_cohort, make_phantoms
from segsrgan_study.verdict.damage import KINDS, Head
from segsrgan_study.verdict.measures import MEASURES, measures
from segsrgan_study.verdict.rule import Logistic, judge, reasons, remarks, standardised, transformed

WRONG, VERY_WRONG = 0.10, 0.20  # errors of the volume over the true volume
LOGARITHMS = (
    *("snr", "brightest", "shift_mm", "shift_rms_mm", "slice_mm", "skull_ml", "share", "sheet_mm", "doubt"),
    *("disagreement", "length", "height", "change"),
)
DISTURBED = 0.10  # share of good volumes that the probability marks, in cross-validation
NEVER = 0.9
PENALTIES = np.logspace(-3, 0, 7)  # inverse strength of the ridge
MARGIN_VOXELS = 6
COLUMNS = ("head", "cohort", "held_out", "kind", "error", "told", "volumes_ml")


class KnownHead(NamedTuple):
    """A head of known volume.

    Attributes:
        settings: with its cohort.
        row: of the manifest; `image` is of high resolution.
        held_out: kept for the test.
    """

    settings: Settings
    row: Row
    held_out: bool


def known_heads(study: Study, settings: Settings) -> list[KnownHead]:
    """Make phantoms of a seed of their own, and read the fetal atlas; half of the heads are held out.

    Phantoms for training and the first half of the patients are for the fit, one echo time a patient. Of the fetal
    atlas every second week of training is for the fit; the weeks that no network learns from are held out.

    Args:
        study: where the phantoms are made; the atlas is found, or downloaded, by its repository.
        settings: of the phantoms.

    Raises:
        UserError: the fetal atlas is not there and cannot be downloaded.
    """
    atlas = settings.model_copy(update={"cohort": "fetal_atlas"})
    weeks = load_cohort(study, atlas.cohort)
    heads = [KnownHead(atlas, row, False) for row in image_rows(weeks, "train")[::2]]
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
    """Damage each head in all ways, segment it and measure; heads that were done by the same code are not done again.

    Args:
        study: whose scratch keeps what was measured.
        heads: of `known_heads`.
        model: folder of the network.
        weights_sha256: checksum of the network.

    Returns:
        A row a case: head, cohort, held_out, kind, error (volume over true volume, minus 1), told (a
        list: what the segmenter said, or why it refused), doubts and remarks (see `rule.judge`) and the measures.
    """
    work = partial(_head_cases, study, model, weights_sha256)
    found = map_cases(work, heads, "heads damaged", heads[0].settings.workers, 2.0, name=lambda head: head.row.subject)
    rows = [row for group in results(found, "heads", lambda head: head.row.subject) for row in group]
    table = pd.DataFrame([row | row["numbers"] for row in rows])[[*COLUMNS, *MEASURES]]
    volumes, numbers = table.pop("volumes_ml"), table[list(MEASURES)].astype(float).to_dict("records")
    cases = list(zip(volumes, numbers, strict=True))
    found = [reasons(*one) if one[0] else [] for one in cases]
    doubts = [[*told, *more] for told, more in zip(table["told"], found, strict=True)]
    return table.assign(doubts=doubts, remarks=[remarks(*one) if one[0] else [] for one in cases])


@lru_cache(maxsize=1)
def _segmenter(model: Path) -> Segmenter:
    return load_segmenter(model)


def _head_cases(study: Study, model: Path, weights_sha256: str, head: KnownHead) -> list[dict[str, Any]]:
    code = code_digest(
        "segsrgan_core",
        "segsrgan_study/motion.py",
        "segsrgan_study/shapes",
        "segsrgan_study/verdict/damage.py",
        "segsrgan_study/verdict/measures.py",
    )
    recipe = [
        head.row.sha256,
        head.row.image,
        str(head.held_out),
        weights_sha256,
        code,
        head.settings.model_dump_json(),
    ]
    path = study.scratch / "cases" / f"{head.row.subject}_{digest(recipe)[:16]}.json"
    if not path.is_file():
        high, true_ml = load_head(study, head)
        write_json(path, [_case(high, true_ml, kind, head, _segmenter(model)) for kind in KINDS])
    return json.loads(path.read_text())


def load_head(study: Study, head: KnownHead) -> tuple[Head, float]:
    """Return a head, cropped, and the volume of its cortex in mL."""
    image, labels = load_truth(study, head.settings, head.row)
    true_ml = float((np.asarray(labels.dataobj) == NUMBERS["cortex"]).sum() * voxel_volume_ml(labels))
    array = np.clip(np.asarray(image.dataobj, np.float32), 0, None)
    image = crop(Nifti1Image(array, image.affine), head_box(array, MARGIN_VOXELS))
    return Head(image, head.settings.simulation), true_ml


def damaged(high: Head, kind: str, head: KnownHead) -> Nifti1Image:
    """Damage a head in one way; the strength depends on seed, head and kind alone."""
    return KINDS[kind](high, np.random.default_rng([head.settings.seed, *f"{head.row.subject} {kind}".encode()]))


def _case(high: Head, true_ml: float, kind: str, head: KnownHead, segmenter: Segmenter) -> dict[str, Any]:
    row = {"head": head.row.subject, "cohort": head.settings.cohort, "held_out": head.held_out, "kind": kind}
    low = damaged(high, kind, head)
    try:
        result = segmenter(brought_back(low)[0])
        numbers = measures(low, result)
    except UserError as error:
        refused = {"error": None, "told": [f"refused: {error}"], "volumes_ml": {}}
        return row | refused | {"numbers": dict.fromkeys(MEASURES)}
    row |= {"error": result.volumes_ml["cortex"] / true_ml - 1, "told": result.notes, "numbers": numbers}
    return row | {"volumes_ml": result.volumes_ml}


def fit_logistic(table: pd.DataFrame, weights_sha256: str) -> Logistic:
    """Fit the model by ridge-penalised logistic regression; penalty and threshold by cross-validation over heads.

    Args:
        table: of `case_table`, cases for the fit alone.
        weights_sha256: checksum of the network.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import GroupKFold, cross_val_predict

    table = table.dropna(subset="error")
    known, wrong = transformed(table, list(MEASURES), LOGARITHMS), table["error"].abs() > WRONG
    low, high = np.nan_to_num(np.nanpercentile(known, [2, 98], axis=1))[..., None]  # a few extremes do not decide
    usual = np.clip(known, low, high)
    means, scales = (np.nan_to_num(of(usual, axis=1)) for of in (np.nanmean, np.nanstd))
    scales = np.where(scales > 1e-6, scales, 1.0)
    z = standardised(known, means, scales).T
    x, folds = np.hstack([z, z**2]), list(GroupKFold(min(5, table["head"].nunique())).split(z, wrong, table["head"]))
    models = [LogisticRegression(C=penalty, max_iter=5000) for penalty in PENALTIES]
    apart = [cross_val_predict(one, x, wrong, cv=folds, method="predict_proba")[:, 1] for one in models]
    best = int(np.argmin([log_loss(wrong, one) for one in apart]))
    model = models[best].fit(x, wrong)
    columns = (means, scales, *np.split(model.coef_[0], 2))
    return Logistic(
        weights_sha256,
        tuple(MEASURES),
        LOGARITHMS,
        *(tuple(map(float, column)) for column in columns),
        intercept=float(model.intercept_[0]),
        look=float(np.quantile(apart[best][~wrong], 1 - DISTURBED)),
        never=NEVER,
    )


def judged(table: pd.DataFrame, logistic: Logistic | None) -> pd.DataFrame:
    """Add the columns verdict, probability and notes to a table of `case_table`."""
    numbers = table[list(MEASURES)].astype(float).to_dict("records")
    cases = zip(table["doubts"], table["remarks"], numbers, strict=True)
    found = [judge(*case, logistic) for case in cases]
    columns = {"verdict": "Verdict", "probability": "Probability", "notes": "Notes"}
    return table.assign(**{name: [one[key] for one in found] for name, key in columns.items()})


def rates(table: pd.DataFrame) -> dict[str, float]:
    """Return how well the verdict does on a table of `judged`.

    Returns:
        Number of cases; auc: area under the curve of the probability for errors above 10 %, and auc_very: for
        those above 20 % against the good ones; found: share of the errors
        above 20 % that are marked "look" or "do not use" or refused; disturbed: share of the good ones, within 10 %,
        that are marked; and the same of those with "do not use" alone.
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
