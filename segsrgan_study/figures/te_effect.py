"""Volume against echo time, one line a patient, and the error against the truth where it is known."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_study.figures.style import (
    BLACK,
    BLUE,
    GREY,
    RED,
    new_figure,
    panel_letters,
    require,
    require_columns,
    styled,
)

NAME = "te_effect"
CAPTION = (
    "Effect of the echo time within patients. (a) Cortical volume and (b) cortical volume divided by intracranial "
    "volume (ICV): one grey line a patient, and the mean with its 95 % t interval in blue. (c) Where the true volumes "
    "are known: relative error of the cortical volume. The dotted lines are the mean true values."
)


@styled
def draw(volumes: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw `results/variability/volumes.csv`.

    Returns:
        The figure, and the plotted rows: panel, subject ("mean" for the mean), te_ms, value, low, high, truth.
    """
    require_columns(volumes, ["subject", "te_ms", "cortex_ml", "cortex_over_icv"], "results/variability/volumes.csv")
    require(volumes["te_ms"].nunique() > 1, "results/variability/volumes.csv holds one echo time: no effect to draw.")
    panels = _panels(volumes)
    fig = new_figure(height_mm=62)
    axes = list(np.atleast_1d(fig.subplots(1, len(panels))))
    for ax, (label, part) in zip(axes, panels.items(), strict=True):
        _lines(ax, part)
        ax.set_ylabel(label)
        ax.set_xlabel("TE (ms)")
        ax.set_xticks(sorted(part["te_ms"].unique()))
    panel_letters(axes)
    return fig, pd.concat([part.assign(panel=label) for label, part in panels.items()], ignore_index=True)


def _panels(volumes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    known = {"cortex_true_ml", "icv_true_ml"} <= set(volumes) and bool(volumes["cortex_true_ml"].notna().any())
    truth = volumes["cortex_true_ml"] if known else np.nan
    icv = volumes["icv_true_ml"] if known else np.nan
    panels = {
        "cortical volume (ml)": _with_mean(volumes, volumes["cortex_ml"], truth),
        "cortex / ICV": _with_mean(volumes, volumes["cortex_over_icv"], truth / icv),
    }
    if known:
        error = 100 * (volumes["cortex_ml"] / truth - 1)
        panels["error of cortical volume (%)"] = _with_mean(volumes, error, pd.Series(0.0, volumes.index))
    return panels


def _with_mean(volumes: pd.DataFrame, values: pd.Series, truth: pd.Series | float) -> pd.DataFrame:
    from scipy.stats import t

    rows = volumes[["subject", "te_ms"]].assign(value=values, low=np.nan, high=np.nan, truth=truth)
    means = []
    for te, part in rows.dropna(subset=["value"]).groupby("te_ms"):
        n, mean = len(part), part["value"].mean()
        half = t.ppf(0.975, n - 1) * part["value"].std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
        means.append({"subject": "mean", "te_ms": te, "value": mean, "low": mean - half, "high": mean + half})
    ends = pd.DataFrame(means).assign(truth=rows.drop_duplicates("subject")["truth"].mean())
    return pd.concat([rows, ends], ignore_index=True)


def _lines(ax: Axes, rows: pd.DataFrame) -> None:
    for subject, part in rows.groupby("subject"):
        part = part.sort_values("te_ms")
        if subject != "mean":
            ax.plot(part["te_ms"], part["value"], color=GREY, linewidth=0.6, marker="o", markersize=1.8, alpha=0.7)
    mean = rows[rows["subject"] == "mean"]
    reach = [mean["value"] - mean["low"], mean["high"] - mean["value"]]
    ax.errorbar(mean["te_ms"], mean["value"], reach, color=BLUE, linewidth=1.4, marker="o", capsize=2, zorder=3)
    if mean["truth"].notna().all():
        zero = bool((mean["truth"] == 0).all())
        ax.axhline(mean["truth"].iloc[0], color=BLACK if zero else RED, linewidth=0.9, linestyle=":", zorder=2)
