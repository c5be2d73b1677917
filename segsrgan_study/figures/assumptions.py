"""Assumptions of the statistics as plots: normal quantiles, and residuals against fitted values."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from segsrgan_study.figures.style import BLACK, CYCLE, GREY, new_figure, panel_letters, require, require_columns, styled
from segsrgan_study.statistics.mixed_model import residuals
from segsrgan_study.statistics.spread import MEASURES, TITLES, wide

CAPTION = (
    "The assumptions of the statistics. Mixed model of the cortical volume (a to c) and of cortex / ICV (d to f): "
    "normal quantiles of the residuals, residuals against fitted values by echo time (colours as in h; an even band "
    "around zero is wanted), normal quantiles of the patients' intercepts. Below: normal quantiles of the differences "
    "between echo times, on which the limits of agreement rest (g), and of the sum and the difference of the "
    "logarithms of volume and ratio, on which the Pitman-Morgan test rests (h, i). In all but b and e the values are "
    "standardised: on the line they are normal, and 95 of 100 normal points fall into the grey band."
)
SOURCE = "results/variability/volumes.csv"
LOOK = {"marker": "o", "linestyle": "none", "markersize": 2.2, "alpha": 0.8, "markeredgewidth": 0}
Groups = Mapping[str, tuple[np.ndarray, np.ndarray]]  # of points, by TE or pair of TE: x, y


@styled
def draw(volumes: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the plots.

    Args:
        volumes: `results/variability/volumes.csv`.

    Returns:
        The figure, and its points: panel, shown (the label), group (TE or pair of TE), x, y.
    """
    require_columns(volumes, ["subject", "te_ms", *MEASURES.values()], SOURCE)
    fitted = {measure: residuals(volumes, column) for measure, column in MEASURES.items()}
    require(all(map(len, fitted.values())), f"{SOURCE}: the mixed model cannot be fitted; it needs three patients.")
    panels = [panel for measure, frame in fitted.items() for panel in _of_model(frame, TITLES[measure])]
    panels += [("normal quantile", title, groups) for title, groups in _of_differences(volumes).items()]
    fig = new_figure(height_mm=150)
    axes = list(fig.subplots(3, 3).flat)
    rows = []
    for letter, ax, (x, y, groups) in zip("abcdefghi", axes, panels, strict=True):
        _panel(ax, groups, quantiles=x == "normal quantile")
        ax.set(xlabel=x, ylabel=y)
        where = {"panel": letter, "shown": y}
        rows += [pd.DataFrame({**where, "group": name, "x": xs, "y": ys}) for name, (xs, ys) in groups.items()]
    panel_letters(axes)
    return fig, pd.concat(rows, ignore_index=True)


def _of_model(frame: pd.DataFrame, title: str) -> list[tuple[str, str, Groups]]:
    by_te = {f"{te:g}": (part["fitted"], part["residual"]) for te, part in frame.groupby("te_ms")}
    intercepts = frame.drop_duplicates("subject")["intercept"]
    return [
        ("normal quantile", f"residual, {title}", _quantiles({"all": frame["residual"]})),
        ("fitted value", f"residual, {title}", by_te),
        ("normal quantile", f"intercept, {title}", _quantiles({"all": intercepts})),
    ]


def _of_differences(volumes: pd.DataFrame) -> dict[str, Groups]:
    cortex, ratio = (wide(volumes, column) for column in MEASURES.values())
    pairs = {f"{b} \N{MINUS SIGN} {a}": cortex[b] - cortex[a] for a, b in combinations(cortex.columns, 2)}
    sums = {str(te): np.log(cortex[te]) + np.log(ratio[te]) for te in cortex.columns}
    differences = {str(te): np.log(cortex[te]) - np.log(ratio[te]) for te in cortex.columns}
    named = {"difference of cortex volumes": pairs, "sum of logarithms": sums, "difference of logarithms": differences}
    return {title: _quantiles(groups) for title, groups in named.items()}


def _quantiles(groups: Mapping[str, pd.Series]) -> Groups:
    """Normal quantiles and standardised values of each group that varies."""
    values = {name: group.dropna() for name, group in groups.items()}
    return {
        name: (_normal(len(group)), np.sort(stats.zscore(group, ddof=1)))
        for name, group in values.items()
        if len(group) > 2 and np.ptp(group) > 0
    }


def _normal(n: int) -> np.ndarray:
    return stats.norm.ppf((np.arange(1, n + 1) - 0.375) / (n + 0.25))


def _panel(ax: Axes, groups: Groups, quantiles: bool) -> None:
    """Draw the groups; quantiles with the line of normal values and the pointwise 95 % band of the largest group."""
    if quantiles:
        n = max((len(x) for x, _ in groups.values()), default=0)
        rank = np.arange(1, n + 1)
        band = [stats.norm.ppf(stats.beta.ppf(edge, rank, n + 1 - rank)) for edge in (0.025, 0.975)]
        ax.fill_between(_normal(n), *band, color=GREY, alpha=0.2, linewidth=0)
        ax.plot(_normal(n), _normal(n), color=BLACK, linewidth=0.6, linestyle=":")
    else:
        ax.axhline(0, color=BLACK, linewidth=0.6, linestyle=":")
    for (name, (x, y)), colour in zip(groups.items(), CYCLE, strict=False):
        ax.plot(x, y, color=colour, label=name, **LOOK)
    if quantiles and len(groups) > 1:
        look = {"handletextpad": 0, "labelspacing": 0.2, "borderaxespad": 0.1, "markerscale": 1.2}
        ax.legend(title="TE (ms)", fontsize=5.5, title_fontsize=5.5, **look)
