"""The assumptions of the variability analysis, each with how it was checked and what came out."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from segsrgan_study.report.tables import Table, number, p_value
from segsrgan_study.statistics.spread import TITLES

ANALYSES = {
    "mixed_model": "mixed model",
    "repeated_measures": "repeated measures",
    "icc": "intraclass correlation",
    "bland_altman": "Bland-Altman",
    "pitman_morgan": "Pitman-Morgan",
    "difference_to_reference_te": "paired differences",
    "bias": "error of the volumes",
}
VOLUMES = {"cortex": "cortex", "icv": "ICV"}
# Key of a check: what must hold, and the test whose p tells.
CHECKS = {
    "shapiro_residuals": ("normal residuals", "Shapiro-Wilk"),
    "shapiro_intercepts": ("normal intercepts of the patients", "Shapiro-Wilk"),
    "levene_residuals_by_te": ("equal variance of the residuals at every TE", "Levene"),
    "mauchly_differences": ("equal variance of all differences (sphericity)", "Mauchly"),
    "shapiro_differences": ("normal differences", "Shapiro-Wilk"),
    "slope_with_mean": ("no trend of the difference with the mean", "correlation"),
    "shapiro_sum": ("normal sum of the logarithms", "Shapiro-Wilk"),
    "shapiro_difference": ("normal difference of the logarithms", "Shapiro-Wilk"),
}
LARGEST_BIAS = 0.25  # of a bootstrap, in standard errors (Efron and Tibshirani 1993, section 10.3)


class _Check(NamedTuple):
    analysis: str
    measure: str
    key: str
    p: float


def assumptions_table(metrics: Mapping[str, Any]) -> Table:
    """One row an assumption of an analysis of a measure, from `results/variability/metrics.json`."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for check in _checks(metrics):
        found.setdefault(check[:3], []).append(check.p)
    rows = [[analysis, measure, *CHECKS[key], *_verdict(ps)] for (analysis, measure, key), ps in found.items()]
    caption = (
        "How each assumption was checked: the number of tests, the least p, and in how many p is below 0.05, where the "
        "assumption is doubtful; for the bootstrap the largest bias in standard errors, doubtful above 0.25. With few "
        "patients a large p says little: see the figure of the residuals. Patients are taken as independent, which no "
        "test can tell."
    )
    columns = ["analysis", "measure", "assumption", "checked by", "tests", "worst", "doubtful"]
    return Table("assumptions", "Assumptions", caption, columns, [*rows, *_bootstraps(metrics)], n_text=4)


def _verdict(ps: list[float]) -> list[str]:
    least = p_value(min(ps))
    return [str(len(ps)), f"p {least}" if least.startswith("<") else f"p = {least}", str(sum(p < 0.05 for p in ps))]


def _checks(metrics: Mapping[str, Any]) -> Iterator[_Check]:
    for part, analysis in ANALYSES.items():
        for path, key, p in _walk(metrics.get(part, {}), ()):
            names = VOLUMES if part == "bias" else TITLES
            yield _Check(analysis, names.get(path[0], "both"), key, p)


def _walk(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, float]]:
    for key, item in node.items() if isinstance(node, Mapping) else ():
        if key in CHECKS:
            if item.get("p") is not None:
                yield path, key, item["p"]
        else:
            yield from _walk(item, (*path, key))


def _bootstraps(metrics: Mapping[str, Any]) -> Iterator[list[str]]:
    for statistic, measures in metrics.get("bootstrap", {}).items():
        for measure, by_te in measures.items():
            sizes = [abs(entry["bias_over_se"]) for entry in by_te.values() if "bias_over_se" in entry]
            if sizes:
                doubtful = sum(size > LARGEST_BIAS for size in sizes)
                title = f"bootstrap of {statistic.replace('_over_', ' / ').replace('iqr', 'IQR')}"
                cells = ["little bias of the statistic", "bias / standard error", str(len(sizes))]
                yield [title, TITLES[measure], *cells, number(max(sizes), 2), str(doubtful)]
