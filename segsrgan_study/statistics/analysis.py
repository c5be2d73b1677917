"""All that `results/variability/metrics.json` holds, from `volumes.csv`."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segsrgan_study.statistics.agreement import (
    bland_altman_pairs,
    icc,
    pitman_morgan,
    shapiro,
    within_patient_cv,
)
from segsrgan_study.statistics.anova import repeated_measures
from segsrgan_study.statistics.harmonise import harmonisation
from segsrgan_study.statistics.mixed_model import mixed_model
from segsrgan_study.statistics.spread import MEASURES, STATISTICS, bootstrap, check_volumes, spread, wide
from segsrgan_study.statistics.summary import describe

TRUTHS = {"cortex": "cortex_true_ml", "icv": "icv_true_ml"}
SCORES = ("cortex_dice", "psnr", "psnr_spline")


def analyse(volumes: pd.DataFrame, seed: int = 0, reference_te_ms: int = 120) -> dict[str, Any]:
    """The talk's table and what a statistician would add to it.

    Args:
        volumes: one row per patient and TE: subject, te_ms, age_weeks, cortex_ml, icv_ml, cortex_over_icv and,
            where the truth is known, cortex_true_ml, icv_true_ml and those of SCORES.
        seed: of the bootstraps.
        reference_te_ms: the TE that the others are compared with; the shortest where this one was not acquired.

    Returns:
        A nest of dicts for `imaging.files.write_json`: the entries of `spread`; "mixed_model", "repeated_measures",
        "within_patient_cv", "icc", "bland_altman", "difference_to_reference_te" and "harmonisation" per measure;
        "pitman_morgan" per TE; "bias" against the truth per volume and TE, "scores" (Dice and PSNR) per TE, and "truth"
        (the spread of the true volumes), where known. A part that the data cannot give says why.

    Raises:
        UserError: a column is missing, or a patient has one TE twice.
    """
    check_volumes(volumes)
    tables = {measure: wide(volumes, column) for measure, column in MEASURES.items()}
    result: dict[str, Any] = {"n_patients": int(volumes["subject"].nunique()), **spread(volumes, seed)}
    result["mixed_model"] = {m: mixed_model(volumes, column) for m, column in MEASURES.items()}
    for name, function in (
        ("within_patient_cv", within_patient_cv),
        ("icc", icc),
        ("repeated_measures", repeated_measures),
        ("bland_altman", bland_altman_pairs),
    ):
        result[name] = {measure: function(table) for measure, table in tables.items()}
    reference = reference_te_ms if reference_te_ms in tables["cortex"] else int(tables["cortex"].columns[0])
    result["reference_te_ms"] = reference
    result["difference_to_reference_te"] = {m: differences_to(table, reference) for m, table in tables.items()}
    result["harmonisation"] = {m: harmonisation(volumes, c, reference, seed) for m, c in MEASURES.items()}
    result["pitman_morgan"] = variance_reduction(tables["cortex"], tables["cortex_over_icv"])
    result["bias"] = {name: bias(volumes, f"{name}_ml", column) for name, column in TRUTHS.items()}
    result["scores"] = scores(volumes, seed)
    result["truth"] = true_spread(volumes, seed)
    return result


def differences_to(table: pd.DataFrame, reference: int) -> dict[str, dict]:
    """Paired mean difference of each other TE to the reference, with its t interval; also relative to its mean."""
    others = [te for te in table.columns if te != reference]
    return {f"{te}-{reference}": paired_mean(table[reference], table[te]) for te in others}


def paired_mean(reference: pd.Series, values: pd.Series) -> dict[str, Any]:
    """Mean of values - reference with a t interval, and the same divided by the reference's mean."""
    pairs = pd.concat([reference, values], axis=1).dropna().to_numpy(float)
    n = len(pairs)
    if n < 2:
        return {"n": n, "reason": "fewer than two pairs"}
    difference, base = pairs[:, 1] - pairs[:, 0], pairs[:, 0].mean()
    mean, half = difference.mean(), stats.t.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n)
    interval = [mean - half, mean + half]
    relative = {"relative": mean / base, "relative_ci95": [edge / base for edge in interval]} if base else {}
    normal = {"shapiro_differences": shapiro(difference)}
    return {"n": n, "mean": mean, "ci95": interval, "sd": difference.std(ddof=1), **relative, **normal}


def variance_reduction(cortex: pd.DataFrame, ratio: pd.DataFrame) -> dict[str, dict]:
    """Does dividing by ICV lower the relative spread? Pitman-Morgan on logarithms per TE, Holm over the TE."""
    from statsmodels.stats.multitest import multipletests

    results = {}
    for te in cortex.columns:
        pairs = pd.concat([cortex[te], ratio[te]], axis=1).dropna().to_numpy(float)
        positive = bool((pairs > 0).all())
        failed = {"n": len(pairs), "reason": "a volume is not positive: no logarithm"}
        results[str(te)] = pitman_morgan(*np.log(pairs).T) if positive else failed
    tested = [te for te, result in results.items() if "p" in result]
    if tested:
        adjusted = multipletests([results[te]["p"] for te in tested], method="holm")[1]
        for te, p in zip(tested, adjusted, strict=True):
            results[te]["p_holm"] = float(p)
    return results


def bias(volumes: pd.DataFrame, column: str, truth: str) -> dict[str, Any]:
    """Estimate minus truth per TE, or {"reason"} where no true volume is known."""
    if truth not in volumes or volumes[truth].isna().all():
        return {"reason": "no true volume is known for this cohort"}
    estimates, truths = wide(volumes, column), wide(volumes, truth)
    return {str(te): paired_mean(truths[te], estimates[te]) for te in estimates}


def scores(volumes: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Mean, sd and interval over patients of each score per TE, or {"reason"} where no truth is known."""
    known = [name for name in SCORES if name in volumes and volumes[name].notna().any()]
    if not known:
        return {"reason": "no true segmentation and no true image is known for this cohort"}
    tables = {name: wide(volumes, name) for name in known}
    return {name: {str(te): describe(table[te], seed) for te in table} for name, table in tables.items()}


def true_spread(volumes: pd.DataFrame, seed: int = 0) -> dict[str, Any]:
    """Spread between patients of the true volumes: what a perfect method would find at every TE."""
    if not set(TRUTHS.values()) <= set(volumes) or volumes["cortex_true_ml"].isna().all():
        return {"reason": "no true volume is known for this cohort"}
    truth = volumes.drop_duplicates("subject")[["cortex_true_ml", "icv_true_ml"]].dropna().to_numpy(float)
    values = {"cortex": truth[:, 0], "cortex_over_icv": truth[:, 0] / truth[:, 1]}
    result: dict[str, Any] = {"n": len(truth)}
    for name, statistic in STATISTICS.items():
        result[name] = {m: statistic(v) if len(v) > 1 else None for m, v in values.items()}
        result[f"{name}_ci95"] = {m: bootstrap(v, statistic, seed).get("ci95") for m, v in values.items()}
    return result
