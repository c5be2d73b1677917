"""Intervals of volumes that contain the true volume nine times in ten: split conformal prediction.

On heads of known volume that took no part in the fit, the logarithm of true over found volume, less what the verdict's
model expects, is divided by how wrong it expects that to be; the 5th and 95th percentiles of these residuals, with the
correction for n cases, are the ends of the interval of a new case (Lei et al. 2018, "Distribution-free predictive
inference for regression"), for good cases and for marked ones apart (Mondrian: Vovk, Gammerman and Shafer 2005,
"Algorithmic learning in a random world"), and each end apart, so that a bias of the network moves the interval. Cases
of one head resemble each other, which the guarantee leaves out: `leave_one_head_out` shows what holds for a new head.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from segsrgan_core.errors import UserError
from segsrgan_study.verdict.rule import COVERAGE, Logistic, group_of

RATIO = "ratio_"  # of columns: logarithm of true over found volume, by name of the volume


def fit_ends(table: pd.DataFrame, logistic: Logistic) -> Logistic:
    """Return the model, which has the slopes of the volumes, with the ends of the intervals of each volume.

    The table is that of `judged`, of heads that took no part in the fit; a ratio is nan where nothing was found, or is
    there.
    """
    ends = {}
    for name in logistic.slopes:
        centre, scale = logistic.interval(name, table["log_odds"], table["expected"])
        residuals = (table[RATIO + name] - centre) / scale
        groups = {group: conformal_ends(part) for group, part in residuals.groupby(table["verdict"].map(group_of))}
        ends[name] = {group: found for group, found in groups.items() if found}
    return replace(logistic, ends={name: groups for name, groups in ends.items() if groups})


def conformal_ends(residuals: pd.Series) -> tuple[float, float] | None:
    """Return the ends between which a further residual lies with 90 %, 5 % beyond each; None for fewer than 19."""
    values = np.sort(residuals.dropna())
    beyond = int((len(values) + 1) * (1 - COVERAGE) / 2 + 1e-9)
    return (float(values[beyond - 1]), float(values[-beyond])) if beyond else None


def leave_one_head_out(table: pd.DataFrame, logistic: Logistic) -> pd.DataFrame:
    """Return the intervals of each case by the ends that all other heads give; arguments as in `fit_ends`.

    There is a row a case and volume that was found: head, cohort, kind, verdict, volume, true, low and high (over the
    found volume), inside. A UserError tells that there are too few cases.
    """
    rows = []
    for head, cases in table.groupby("head"):
        ends = fit_ends(table[table["head"] != head], logistic).ends
        for name, group in product(ends, ends and cases["verdict"].map(group_of).unique()):
            if group not in ends[name]:
                continue
            chosen = cases[cases["verdict"].map(group_of) == group]
            centre, scale = logistic.interval(name, chosen["log_odds"], chosen["expected"])
            low, high = (np.exp(centre + end * scale) for end in ends[name][group])
            found = chosen[["head", "cohort", "kind", "verdict"]].assign(volume=name, low=low, high=high)
            rows.append(found.assign(true=np.exp(chosen[RATIO + name])))
    if not rows:
        raise UserError("intervals: other heads than one have too few cases (19 are needed); take more heads.")
    every = pd.concat(rows).dropna(subset="true")
    return every.assign(inside=every["true"].between(every["low"], every["high"]))


def coverage(intervals: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return of groups of `leave_one_head_out`: number of cases, share inside, below, above, and median width."""
    return pd.DataFrame(
        {
            group: {
                "n": len(rows),
                "inside": rows["inside"].mean(),
                "below": (rows["true"] < rows["low"]).mean(),
                "above": (rows["true"] > rows["high"]).mean(),
                "median_width": (rows["high"] - rows["low"]).median(),
            }
            for group, rows in intervals.groupby(by, sort=False)
        }
    ).T.rename_axis(by)
