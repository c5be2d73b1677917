"""Bland-Altman plots of every pair of echo times."""

from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_study.figures.style import BLUE, RED, new_figure, panel_letters, require, require_columns, styled
from segsrgan_study.statistics.agreement import bland_altman
from segsrgan_study.statistics.spread import MEASURES, wide

NAME = "bland_altman"
CAPTION = (
    "Agreement of the cortical volume between echo times (Bland-Altman): difference against mean of the two volumes of "
    "a patient. Solid line: mean difference; dashed lines: limits of agreement (mean ± 1.96 sd); bands: their 95 % "
    "intervals."
)
UNITS = {"cortex": "ml", "cortex_over_icv": "cortex / ICV"}
DECIMALS = {"cortex": 1, "cortex_over_icv": 4}


@styled
def draw(volumes: pd.DataFrame, measure: str = "cortex") -> tuple[Figure, pd.DataFrame]:
    """Draw all pairs of TE for "cortex" or "cortex_over_icv".

    Returns:
        The figure, and the points: pair, subject, mean, difference, and the pair's bias, lower and upper limits.
    """
    column, source = MEASURES[measure], "results/variability/volumes.csv"
    require_columns(volumes, ["subject", "te_ms", column], source)
    table = wide(volumes, column)
    pairs = [(a, b) for a, b in combinations(table.columns, 2) if len(table[[a, b]].dropna()) >= 3]
    require(bool(pairs), f"{source}: no two echo times share three patients; Bland-Altman limits need them.")
    rows = -(-len(pairs) // 3)
    fig = new_figure(height_mm=56 * rows + 4)
    axes = list(fig.subplots(rows, min(3, len(pairs)), sharey=True, sharex=True, squeeze=False).flat)
    points = pd.concat([_points(table, *pair) for pair in pairs], ignore_index=True)
    for ax, pair in zip(axes, pairs, strict=False):
        shown, limits = points[points["pair"] == f"{pair[1]}-{pair[0]}"], bland_altman(table[pair[0]], table[pair[1]])
        _panel(ax, shown, limits, DECIMALS[measure])
        ax.set_title(f"TE {pair[1]} ms minus {pair[0]} ms")
    for ax in axes[len(pairs) :]:
        ax.remove()
    panel_letters(axes[: len(pairs)])
    fig.supxlabel(f"mean of the two ({UNITS[measure]})", fontsize=7)
    fig.supylabel(f"difference ({UNITS[measure]})", fontsize=7)
    return fig, points


def _points(table: pd.DataFrame, first: int, second: int) -> pd.DataFrame:
    pairs = table[[first, second]].dropna()
    limits = bland_altman(table[first], table[second])
    return pd.DataFrame(
        {
            "pair": f"{second}-{first}",
            "subject": pairs.index,
            "mean": pairs.mean(axis=1).to_numpy(),
            "difference": (pairs[second] - pairs[first]).to_numpy(),
            **{name: limits[name] for name in ("bias", "lower", "upper")},
        }
    )


def _panel(ax: Axes, points: pd.DataFrame, limits: dict, decimals: int) -> None:
    ax.axhline(0, color="black", linewidth=0.5, linestyle=":")
    for name, colour, line in (("bias", BLUE, "-"), ("lower", RED, "--"), ("upper", RED, "--")):
        ax.axhspan(*limits[f"{name}_ci95"], color=colour, alpha=0.15, linewidth=0)
        ax.axhline(limits[name], color=colour, linestyle=line)
        text = {"ha": "left", "va": "center", "fontsize": 6, "color": colour, "annotation_clip": False}
        number = f"{limits[name]:z.{decimals}f}".replace("-", "\N{MINUS SIGN}")  # z: no minus before 0
        ax.annotate(number, (1.01, limits[name]), xycoords=("axes fraction", "data"), **text)
    ax.plot(points["mean"], points["difference"], "o", color="black", markersize=2.4, alpha=0.7, markeredgewidth=0)
    ax.margins(x=np.clip(2 / len(points), 0.05, 0.2))
