"""Means, intervals and paired tests of the methods' scores, from the long table of scores.

Intervals are 95 % percentile bootstraps over subjects. Wilcoxon's signed-rank test (scipy: exact up to 50 pairs without
ties) compares SegSRGAN with each other method; Holm's correction is over the methods on one metric of one structure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segsrgan_study.statistics.intervals import add_holm, bootstrap

IMAGE_METRICS = ("psnr", "ssim")
TOPOLOGY = ("n_components", "n_handles", "n_cavities", "hole_ratio", "euler_error")
LABEL_METRICS = ("dice", "hd95_mm", "asd_mm", "volume_error", *TOPOLOGY, "ece")
LABEL_METRICS += ("ece_before", "auc_wrong", "auc_wrong_before", "auc_wrong_everywhere")
NOTHING = {"mean": None, "sd": None, "n": 0, "ci95": None}


def summarise(table: pd.DataFrame, reference: str = "segsrgan", seed: int = 0) -> dict[str, Any]:
    """Describe the methods in a long table of `scores.score_table` and compare `reference` with each of the others.

    {"psnr": {method: {"mean", "sd", "n", "ci95"}}, "dice": {structure: {method: {...}}}, ..., "tests": the same}.
    """
    summary: dict[str, Any] = {"cohort": table["cohort"].iloc[0], "tests": {}}
    for metric in IMAGE_METRICS + LABEL_METRICS:
        for structure, scores in table[table["metric"] == metric].groupby("structure"):
            wide = scores.pivot(index="subject", columns="method", values="value")
            described = {method: describe(wide[method], seed) for method in wide}
            # The size of a volume error counts: a bias of -10 % is as bad as one of +10 %.
            tests = compare(wide.abs() if metric == "volume_error" else wide, reference, seed)
            for place, entry in ((summary, described), (summary["tests"], tests)):
                if metric in IMAGE_METRICS:
                    place[metric] = entry
                elif entry:
                    place.setdefault(metric, {})[structure] = entry
    return summary


def with_methods(
    summary: Mapping[str, Any], methods: Mapping[str, Mapping], reasons: Mapping[str, str], structures: Sequence[str]
) -> dict[str, Any]:
    """Return a summary with what the methods are, and why some lack scores of some or all subjects.

    Reasons, by method, become the "reason" of the method and of its entry for each of the structures.
    """
    why = {method: {"reason": reason} for method, reason in reasons.items()}
    filled = {**summary, "methods": {name: {**facts, **why.get(name, {})} for name, facts in methods.items()}}
    for metric in LABEL_METRICS:
        filled[metric] = {structure: dict(by_method) for structure, by_method in summary.get(metric, {}).items()}
        for structure in structures:
            entries = filled[metric].setdefault(structure, {})
            entries |= {method: {**entries.get(method, NOTHING), **said} for method, said in why.items()}
    return filled


def method_titles(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Return the titles of the methods by their names, from `results/evaluation/metrics.json`."""
    return {name: facts["title"] for name, facts in metrics.get("methods", {}).items()}


def describe(values: pd.Series, seed: int = 0) -> dict[str, Any]:
    """Describe the finite ones of some values, one per subject; `n_missing` where some are not."""
    finite = values[np.isfinite(values)].to_numpy(float)
    missing = {"n_missing": len(values) - finite.size} if finite.size < len(values) else {}
    if finite.size == 0:
        return NOTHING | missing
    sd = finite.std(ddof=1) if finite.size > 1 else None
    return {"mean": finite.mean(), "sd": sd, "n": finite.size, "ci95": bootstrap(finite, np.mean, seed)[0]} | missing


def compare(wide: pd.DataFrame, reference: str, seed: int = 0) -> dict[str, dict]:
    """Test one column (a method) of a row per subject against every other, with Holm's correction over the methods."""
    others = [method for method in wide if method != reference] if reference in wide else []
    tests = {method: paired_test(wide[reference] - wide[method], seed) for method in others}
    add_holm(tests)
    return tests


def paired_test(difference: pd.Series, seed: int = 0) -> dict[str, Any]:
    """Test differences, one per subject, with Wilcoxon's signed-rank test (two-sided); only finite ones count.

    "smallest_p" is the least p that n pairs can give, 2^(1-n); a "note" says where that is above 0.05.
    """
    difference = difference[np.isfinite(difference)].to_numpy(float)
    n, smallest = difference.size, 2.0 ** (1 - difference.size)
    if n < 2:
        return {"n": n, "difference": None, "ci95": None, "p": None, "note": f"not tested: {n} pair(s)"}
    p = float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0
    few = {"note": f"with {n} pairs the smallest possible p is {smallest:.3g}: the test cannot reach 0.05"}
    result = {"n": n, "difference": difference.mean(), "ci95": bootstrap(difference, np.mean, seed)[0]}
    return {**result, "p": p, "smallest_p": smallest} | (few if smallest > 0.05 else {})
