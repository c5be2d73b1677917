"""Volume against echo time, a line per patient, and the error against the truth where it is known."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t

from segsrgan_study.figures.style import BLACK, BLUE, GREY, RED, panels_of_three, require, require_columns, styled

CAPTION = (
    "Effect of the echo time within patients. (a) Cortical volume and (b) cortical volume divided by intracranial "
    "volume (ICV): one grey line a patient, and the mean with its 95 % t interval in blue. (c) Where the true volumes "
    "are known: relative error of the cortical volume. The dotted lines are the mean true values."
)
SOURCE = "results/variability/volumes.csv"


@styled
def draw(volumes: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the volumes over TE.

    Args:
        volumes: `results/variability/volumes.csv`.

    Returns:
        The figure, and the plotted rows: panel, subject ("mean" for the mean), te_ms, value, low, high, truth.
    """
    require_columns(volumes, ["subject", "te_ms", "cortex_ml", "cortex_over_icv"], SOURCE)
    require(volumes["te_ms"].nunique() > 1, f"{SOURCE} holds one echo time: there is no effect to draw.")
    panels = _panels(volumes)
    fig, axes = panels_of_three(len(panels), row_mm=58)
    for ax, (label, part) in zip(axes, panels.items(), strict=True):
        _lines(ax, part)
        ax.set(ylabel=label, xlabel="TE (ms)", xticks=sorted(part["te_ms"].unique()))
    return fig, pd.concat([part.assign(panel=label) for label, part in panels.items()], ignore_index=True)


def _panels(volumes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    truth, icv = (volumes.get(name, pd.Series(np.nan, volumes.index)) for name in ("cortex_true_ml", "icv_true_ml"))
    panels = {
        "cortical volume (ml)": _with_mean(volumes, volumes["cortex_ml"], truth),
        "cortex / ICV": _with_mean(volumes, volumes["cortex_over_icv"], truth / icv),
    }
    if truth.notna().any():
        error = 100 * (volumes["cortex_ml"] / truth - 1)
        panels["error of cortical volume (%)"] = _with_mean(volumes, error, pd.Series(0.0, volumes.index))
    return panels


def _with_mean(volumes: pd.DataFrame, values: pd.Series, truth: pd.Series) -> pd.DataFrame:
    rows = volumes[["subject", "te_ms"]].assign(value=values, low=np.nan, high=np.nan, truth=truth)
    found = rows.groupby("te_ms")["value"].agg(["mean", "sem", "count"]).reset_index()
    half = t.ppf(0.975, found["count"] - 1) * found["sem"]
    means = pd.DataFrame({"subject": "mean", "te_ms": found["te_ms"], "value": found["mean"]})
    means = means.assign(low=found["mean"] - half, high=found["mean"] + half)
    return pd.concat([rows, means.assign(truth=rows.drop_duplicates("subject")["truth"].mean())], ignore_index=True)


def _lines(ax: Axes, rows: pd.DataFrame) -> None:
    patients, mean = rows[rows["subject"] != "mean"], rows[rows["subject"] == "mean"]
    lines = patients.pivot(index="te_ms", columns="subject", values="value")
    ax.plot(lines, color=GREY, linewidth=0.6, marker="o", markersize=1.8, alpha=0.7)
    reach = [mean["value"] - mean["low"], mean["high"] - mean["value"]]
    ax.errorbar(mean["te_ms"], mean["value"], reach, color=BLUE, linewidth=1.4, marker="o", capsize=2, zorder=3)
    level = mean["truth"].iloc[0]
    if np.isfinite(level):
        ax.axhline(level, color=RED if level else BLACK, linewidth=0.9, linestyle=":", zorder=2)
