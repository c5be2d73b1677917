"""Volume against echo time, a line per patient, and the error against the truth where it is known."""

import numpy as np
import pandas as pd
from scipy.stats import t

from segsrgan_study.figures.style import BLACK, BLUE, GREY, RED, Plot, lettered_panels, require, styled
from segsrgan_study.statistics.spread import TITLES


@styled
def draw(volumes: pd.DataFrame) -> Plot:
    """Draw `results/variability/volumes.csv` over TE.

    Values: panel, subject ("mean" for the mean), te_ms, value, low, high, truth.
    """
    require(volumes["te_ms"].nunique() > 1, "results/variability/volumes.csv holds one echo time: no effect to draw.")
    truth, icv = (volumes.get(name, pd.Series(np.nan, volumes.index)) for name in ("cortex_true_ml", "icv_true_ml"))
    panels = {
        "cortical volume (ml)": _with_mean(volumes, volumes["cortex_ml"], truth),
        TITLES["cortex_over_icv"]: _with_mean(volumes, volumes["cortex_over_icv"], truth / icv),
    }
    if truth.notna().any():
        error = 100 * (volumes["cortex_ml"] / truth - 1)
        panels["error of cortical volume (%)"] = _with_mean(volumes, error, pd.Series(0.0, volumes.index))
    fig, axes = lettered_panels(len(panels), row_mm=62)
    for ax, (label, rows) in zip(axes, panels.items(), strict=True):
        patients, mean = rows[rows["subject"] != "mean"], rows[rows["subject"] == "mean"]
        lines = patients.pivot(index="te_ms", columns="subject", values="value")
        ax.plot(lines, color=GREY, linewidth=0.6, marker="o", markersize=1.8, alpha=0.7)
        reach = [mean["value"] - mean["low"], mean["high"] - mean["value"]]
        ax.errorbar(mean["te_ms"], mean["value"], reach, color=BLUE, linewidth=1.4, marker="o", capsize=2, zorder=3)
        if np.isfinite(level := mean["truth"].iloc[0]):
            ax.axhline(level, color=RED if level else BLACK, linewidth=0.9, linestyle=":", zorder=2)
        ax.set(ylabel=label, xlabel="TE (ms)", xticks=sorted(lines.index))
    return fig, pd.concat([rows.assign(panel=label) for label, rows in panels.items()], ignore_index=True)


def _with_mean(volumes: pd.DataFrame, values: pd.Series, truth: pd.Series) -> pd.DataFrame:
    rows = volumes[["subject", "te_ms"]].assign(value=values, low=np.nan, high=np.nan, truth=truth)
    found = rows.groupby("te_ms")["value"].agg(["mean", "sem", "count"]).reset_index()
    mean, half = found["mean"], t.ppf(0.975, found["count"] - 1) * found["sem"]
    means = {"te_ms": found["te_ms"], "value": mean, "low": mean - half, "high": mean + half}
    known = rows.drop_duplicates("subject")["truth"].mean()
    return pd.concat([rows, pd.DataFrame(means).assign(subject="mean", truth=known)], ignore_index=True)
