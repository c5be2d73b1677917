"""How much of the difference between subjects a method finds: found over true shares of the skull's content."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

FEWEST = 3  # subjects for a line
VOLUMES = {"volume_true_ml": "true", "volume_ml": "found"}


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
