"""Agreement of the cortex's shape with the truth, and between echo times; hemispheres are counted one by one."""

import numpy as np
import pandas as pd

from segsrgan_core.classes import SIDES
from segsrgan_study.shapes.cortex import MEASURES

COLUMNS = [f"{side}_{measure}" for side in SIDES for measure in MEASURES]  # of a table with a row an image
KEYS = ["subject", "side", "measure"]
TRUE = "true_"  # begins the names of the true labels' measures in the scores


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
