"""Tables of the variability over patients and echo times, from `results/variability/metrics.json`."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from segsrgan_study.figures.variability_table import STATISTICS, TALK
from segsrgan_study.statistics.spread import TITLES
from segsrgan_study.tables.cells import cell, entries, text_frame

LARGEST_BIAS = 0.25  # of a bootstrap, in standard errors (Efron and Tibshirani 1993, section 10.3)
Metrics = Mapping[str, Any]


def title(key: str) -> str:
    """A measure, a pair of echo times or an echo time as it is printed."""
    return TITLES.get(key) or key.replace("-", " \N{MINUS SIGN} ")


def spread(metrics: Metrics, talk: bool = False) -> pd.DataFrame:
    """The talk's table: spread between patients at each echo time [interval], with `talk` beside the talk's values."""
    table = {}
    for name, statistic in STATISTICS.items():
        for measure, by_te in metrics.get(name, {}).items():
            ends, row = metrics.get(f"{name}_ci95", {}).get(measure, {}), f"{statistic}, {TITLES[measure]}"
            found = {te: cell("{v:.4f} {e:.4f}", {"v": value, "e": ends.get(te)}) for te, value in by_te.items()}
            table[row,] = {f"TE = {te} ms": text for te, text in found.items()}
            if name in metrics.get("truth", {}):
                table[row,]["true volumes"] = cell("{v:.4f}", {"v": metrics["truth"][name][measure]})
            if talk and measure in TALK[name]:
                values = {f"TE = {te} ms": f"{value:.4f}" for te, value in TALK[name][measure].items()}
                table[f"{row}, the talk's value",] = values
    return text_frame(table, ["statistic"])


def physics(table: pd.DataFrame) -> pd.DataFrame:
    """Error of the volumes at each TE, and their variation over TE, of `results/variability/physics.csv`."""
    found = {}
    for (name, skull), scans in table.groupby(["physics", "skull"], sort=False):
        for key, volume in (("cortex", "cortex"), ("icv", TITLES["icv"])):
            errors = scans[f"{key}_ml"] / scans[f"{key}_true_ml"] - 1
            cells = {f"TE = {te:g} ms": f"{error:+.1%}" for te, error in zip(scans["te_ms"], errors, strict=True)}
            cells["CV over TE"] = f"{scans[f'{key}_ml'].std(ddof=1) / scans[f'{key}_ml'].mean():.2%}"
            found[name, "with" if skull else "without", volume] = cells
    return text_frame(found, ["physics", "skull", "volume"])


def assumptions(metrics: Metrics, analyses: Mapping[str, str], checks: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """How each assumption of an analysis was checked and what came out.

    `analyses` are titles by the part of the results; `checks`, by their key, what must hold and the test that tells.
    """
    found: dict[tuple[str, ...], list[float]] = {}
    for part, analysis in analyses.items():
        for path, entry in entries(metrics.get(part, {})):
            if path and path[-1] in checks and entry.get("p") is not None:
                measure = title(path[0]) if path[0] in TITLES else "both"
                found.setdefault((analysis, measure, *checks[path[-1]]), []).append(entry["p"])
    table = {}
    for row, ps in found.items():
        worst = cell("p\N{NO-BREAK SPACE}{p:p}", {"p": min(ps)})
        table[row] = {"tests": str(len(ps)), "worst": worst, "doubtful": str(sum(p < 0.05 for p in ps))}
    for name, by_measure in metrics.get("bootstrap", {}).items():
        for measure, by_te in by_measure.items():
            sizes = [abs(entry["bias_over_se"]) for entry in by_te.values() if "bias_over_se" in entry]
            row = (f"bootstrap of {STATISTICS[name]}", TITLES[measure], "little bias", "bias / standard error")
            if sizes:
                doubtful = str(sum(size > LARGEST_BIAS for size in sizes))
                table[row] = {"tests": str(len(sizes)), "worst": f"{max(sizes):.2f}", "doubtful": doubtful}
    return text_frame(table, ["analysis", "measure", "assumption", "checked by"])


def reasons(nest: Any) -> dict[str, str]:
    """What an analysis could not give, and why: each {"reason": ...} of nested results by the keys that lead to it."""
    return {", ".join(path).replace("_", " "): entry["reason"] for path, entry in entries(nest) if "reason" in entry}
