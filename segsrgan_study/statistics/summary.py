"""From the long table of scores to means, intervals and paired tests (`results/evaluation/metrics.json`).

Intervals are 95 % percentile bootstraps over subjects with a fixed seed. The tests are Wilcoxon signed-rank tests
(scipy: exact up to 50 pairs without ties) of the reference method against each other method; Holm's correction
runs over the methods compared on one metric of one structure.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_core.errors import UserError

IMAGE_METRICS = ("psnr", "ssim")
LABEL_METRICS = ("dice", "hd95_mm", "asd_mm", "volume_error", "n_components", "ece")
DRAWS = 5000


def summarise(table: pd.DataFrame, reference: str = "segsrgan", seed: int = 0) -> dict[str, Any]:
    """Mean, sd (ddof = 1), n and interval per metric, structure and method, and the paired tests.

    Args:
        table: the long table of `metrics.score_table`; one cohort, any number of methods.
        reference: the method that the others are tested against.
        seed: of the bootstrap.

    Returns:
        {"cohort", "psnr": {method: {"mean", "sd", "n", "ci95"}}, "dice": {structure: {method: {...}}}, ...,
        "tests": {"psnr": {method: {...}}, "dice": {structure: {method: {...}}}, ...}}; for `imaging.files.write_json`.

    Raises:
        UserError: the table holds no cohort or several, or one score twice.
    """
    cohorts = sorted(table["cohort"].unique())
    if len(cohorts) != 1:
        raise UserError(f"table: expected the scores of one cohort. Received: {cohorts}.")
    keys = ["subject", "method", "structure", "metric"]
    if table.duplicated(keys).any():
        first = table.loc[table.duplicated(keys), keys].iloc[0].to_dict()
        raise UserError(f"table: expected each score once. Received twice: {first}.")
    summary: dict[str, Any] = {"cohort": cohorts[0], "tests": {}}
    for metric in IMAGE_METRICS + LABEL_METRICS:
        for structure, scores in table[table["metric"] == metric].groupby("structure"):
            wide = scores.pivot(index="subject", columns="method", values="value")
            values, tests = describe_methods(wide, seed), compare(wide, reference, metric, seed)
            _place(summary, metric, structure, values)
            _place(summary["tests"], metric, structure, tests)
    return summary


def method_titles(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The titles of the baselines by their names, from `results/evaluation/metrics.json`."""
    return {name: facts["title"] for name, facts in metrics.get("methods", {}).items()}


def with_methods(
    summary: Mapping[str, Any], methods: Mapping[str, Mapping], reasons: Mapping[str, str], structures: Sequence[str]
) -> dict[str, Any]:
    """Add to a summary what the methods are, and why some have no scores of some or all subjects.

    Args:
        summary: as `summarise` gives it.
        methods: title, version and parameters by method.
        reasons: by method; they become the "reason" of the method and of its entries.
        structures: whose entries a method shall have that has none.
    """
    nothing = {"mean": None, "sd": None, "n": 0, "ci95": None}
    filled = {**summary, "methods": {name: dict(facts) for name, facts in methods.items()}}
    for method, reason in reasons.items():
        filled["methods"][method]["reason"] = reason
    for metric in LABEL_METRICS:
        filled[metric] = {structure: dict(by_method) for structure, by_method in summary.get(metric, {}).items()}
        for structure in structures:
            entries = filled[metric].setdefault(structure, {})
            for method, reason in reasons.items():
                entries[method] = {**entries.get(method, nothing), "reason": reason}
    return filled


def describe_methods(wide: pd.DataFrame, seed: int = 0) -> dict[str, dict]:
    """Each method's description; `wide` has one row a subject and one column a method."""
    return {method: describe(wide[method], seed) for method in wide.columns}


def describe(values: pd.Series, seed: int = 0) -> dict[str, Any]:
    """Mean, sd (ddof = 1), n and bootstrap interval of the finite values; "n_missing" counts the others."""
    numbers = np.asarray(values, float)
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        return {"mean": None, "sd": None, "n": 0, "ci95": None, "n_missing": len(numbers)}
    result = {
        "mean": finite.mean(),
        "sd": finite.std(ddof=1) if finite.size > 1 else None,
        "n": finite.size,
        "ci95": bootstrap_interval(finite, np.mean, seed),
    }
    return result | ({"n_missing": len(numbers) - finite.size} if finite.size < len(numbers) else {})


def compare(wide: pd.DataFrame, reference: str, metric: str, seed: int = 0) -> dict[str, dict]:
    """The reference against every other method, paired by subject, with Holm's correction over the methods.

    The volume error is compared by its size: a bias of -10 % is as bad as one of +10 %.
    """
    from statsmodels.stats.multitest import multipletests

    if reference not in wide:
        return {}
    wide = wide.abs() if metric == "volume_error" else wide
    others = [method for method in wide.columns if method != reference]
    results = {method: paired_test(wide[reference], wide[method], seed) for method in others}
    tested = [method for method in others if results[method]["p"] is not None]
    if tested:
        adjusted = multipletests([results[method]["p"] for method in tested], method="holm")[1]
        for method, p in zip(tested, adjusted, strict=True):
            results[method]["p_holm"] = float(p)
    return results


def paired_test(a: pd.Series, b: pd.Series, seed: int = 0) -> dict[str, Any]:
    """Wilcoxon signed-rank test of a - b (two-sided) with the mean difference and its bootstrap interval.

    "smallest_p" is the least p that n pairs can give, 2^(1-n); "note" says so where it is above 0.05.
    """
    from scipy.stats import wilcoxon

    difference = np.asarray(a, float) - np.asarray(b, float)
    difference = difference[np.isfinite(difference)]
    n = difference.size
    if n < 2:
        return {"n": n, "difference": None, "ci95": None, "p": None, "note": f"not tested: {n} pair(s)"}
    moved = np.any(difference != 0)
    result = {
        "n": n,
        "difference": difference.mean(),
        "ci95": bootstrap_interval(difference, np.mean, seed),
        "p": float(wilcoxon(difference).pvalue) if moved else 1.0,
        "smallest_p": 2.0 ** (1 - n),
    }
    if result["smallest_p"] > 0.05:
        note = f"with {n} pairs the smallest possible p is {2.0 ** (1 - n):.3g}: the test cannot reach 0.05"
        result["note"] = note
    return result


def bootstrap_interval(
    values: np.ndarray, statistic: Callable[..., np.ndarray], seed: int = 0, draws: int = DRAWS
) -> list[float] | None:
    """95 % percentile bootstrap interval over the first axis (Efron and Tibshirani 1993, chapter 13).

    Args:
        values: (n,) or (n, k); rows are the units that are drawn with replacement.
        statistic: called as statistic(draws of values, axis=1) on (draws, n) or (draws, n, k); gives (draws,).
        seed: of the draws; the same seed and n draw the same units, so that intervals are comparable.
        draws: how many.

    Returns:
        [low, high], or None where n is below 3 or the statistic is undefined.
    """
    values = np.asarray(values, float)
    if len(values) < 3:
        return None
    chosen = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    drawn = np.asarray(statistic(values[chosen], axis=1))
    drawn = drawn[np.isfinite(drawn)]
    return [float(edge) for edge in np.percentile(drawn, [2.5, 97.5])] if drawn.size else None


def _place(nest: dict, metric: str, structure: str, entry: dict) -> None:
    if not entry:
        return
    if metric in IMAGE_METRICS:
        nest[metric] = entry
    else:
        nest.setdefault(metric, {})[structure] = entry
