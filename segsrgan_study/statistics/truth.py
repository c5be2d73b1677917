"""Volumes and shapes as they were found, against the true ones: of subjects, and of hemispheres one by one."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from segsrgan_core.classes import SIDES
from segsrgan_study.shapes.cortex import MEASURES

FEWEST = 3  # subjects for a line
VOLUMES = {"volume_true_ml": "true", "volume_ml": "found"}
COLUMNS = [f"{side}_{measure}" for side in SIDES for measure in MEASURES]  # of a table with a row an image
KEYS = ["subject", "side", "measure"]
TRUE = "true_"  # begins the names of the true labels' measures in the scores


def volume_shares(scores: pd.DataFrame, structure: str) -> pd.DataFrame:
    """Return true and found volumes of a structure over the true intracranial volume, out of the long table of scores.

    A row a method and subject: method, subject, true, found; in mL where no intracranial volume is known.
    """
    chosen = scores[scores["metric"].isin(list(VOLUMES))]
    wide = chosen.pivot(index=["structure", "method", "subject"], columns="metric", values="value")
    wide = wide.reindex(columns=list(VOLUMES)).rename(columns=VOLUMES).rename_axis(columns=None)
    names = wide.index.get_level_values("structure")
    skulls = wide.loc[names == "intracranial", "true"].groupby("subject").first()
    volumes = wide.loc[names == structure].dropna().reset_index().drop(columns="structure")
    by = volumes["subject"].map(skulls) if len(skulls) else 1.0
    return volumes.assign(true=volumes["true"] / by, found=volumes["found"] / by)


def found_differences(shares: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return by method the slope of log found over log true of `volume_shares`: 1 keeps differences, 0 loses them.

    With its 95 % interval (Student's t), the correlation, and the standard deviation of the log of found over true.
    """
    return {method: _line(group) for method, group in shares.groupby("method") if len(group) >= FEWEST}


def _line(group: pd.DataFrame) -> dict[str, Any]:
    true, found = np.log(group["true"]), np.log(group["found"].where(group["found"] > 0))
    known = found.notna()
    if known.sum() < FEWEST or np.ptp(true[known]) == 0:
        return {"n": int(known.sum())}
    line = stats.linregress(true[known], found[known])
    half = stats.t.ppf(0.975, known.sum() - 2) * line.stderr
    facts = {"n": int(known.sum()), "slope": line.slope, "ci95": [line.slope - half, line.slope + half]}
    return facts | {"r": line.rvalue, "intercept": line.intercept, "error_sd": (found - true).std()}


def by_hemisphere(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with some of `COLUMNS`, a row a hemisphere and known measure: the rest, value, side, measure."""
    columns = [name for name in COLUMNS if name in table]
    long = table.melt([name for name in table if name not in columns], columns).dropna(subset="value")
    side = long["variable"].str.split("_", n=1)
    return long.drop(columns="variable").assign(side=side.str[0], measure=side.str[1])


def against_truth(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the shapes in the long table of scores of the test subjects: subject, side, measure, found, true."""
    of_side = {f"{side}_hemisphere": side for side in SIDES}
    rows = scores[(scores["method"] == "segsrgan") & scores["structure"].isin(of_side)]
    measure = rows["metric"].str.removeprefix(TRUE)
    kind = np.where(rows["metric"].str.startswith(TRUE), "true", "found")
    rows = rows.assign(side=rows["structure"].map(of_side), measure=measure, kind=kind)[measure.isin(list(MEASURES))]
    wide = rows.pivot(index=KEYS, columns="kind", values="value")
    return wide.reindex(columns=["found", "true"]).dropna().rename_axis(columns=None).reset_index()


def shape_agreement(pairs: pd.DataFrame, echoes: pd.DataFrame) -> pd.DataFrame:
    """Return how well each measure of shape is found, over all hemispheres.

    The pairs, `against_truth`, are of heads with known labels; the echoes, `by_hemisphere`, of several echo times.
    Ratio is found over true, error the mean of its distance from 1, cv_over_te the mean within a hemisphere.
    """
    table = {}
    for measure, group in pairs.groupby("measure", sort=False):
        ratio = group["found"] / group["true"]
        facts = {"n": len(group), "ratio": ratio.mean(), "lowest": ratio.min(), "highest": ratio.max()}
        facts |= {"error": (ratio - 1).abs().mean(), "correlation": group["found"].corr(group["true"])}
        values = echoes[echoes["measure"] == measure].groupby(["subject", "side"])["value"]
        table[measure] = facts | {"cv_over_te": np.mean(values.std() / values.mean()) if len(values) else np.nan}
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("measure")
