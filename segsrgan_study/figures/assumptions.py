"""Assumptions of the statistics as plots: normal quantiles, and residuals against fitted values."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from segsrgan_study.figures.style import BLACK, CYCLE, GREY, Plot, lettered_panels, require, styled
from segsrgan_study.statistics.mixed_model import residuals
from segsrgan_study.statistics.spread import MEASURES, TITLES, wide

QUANTILE = "normal quantile"
Groups = Mapping[str, tuple[np.ndarray, np.ndarray]]  # of points, by TE or pair of TE: x, y


@styled
def draw(volumes: pd.DataFrame) -> Plot:
    """Draw `results/variability/volumes.csv`; values: panel, shown (the label), group (TE or pair of TE), x, y."""
    fits = {TITLES[measure]: residuals(volumes, column) for measure, column in MEASURES.items()}
    lacking = "results/variability/volumes.csv: the mixed model cannot be fitted; it needs three patients."
    require(all(map(len, fits.values())), lacking)
    panels = []
    for title, fit in fits.items():
        by_te = {f"{te:g}": (part["fitted"], part["residual"]) for te, part in fit.groupby("te_ms")}
        panels += [
            (QUANTILE, f"residual, {title}", _quantiles({"all": fit["residual"]})),
            ("fitted value", f"residual, {title}", by_te),
            (QUANTILE, f"intercept, {title}", _quantiles({"all": fit.drop_duplicates("subject")["intercept"]})),
        ]
    cortex, ratio = (wide(volumes, column) for column in MEASURES.values())
    pairs = {f"{b} \N{MINUS SIGN} {a}": cortex[b] - cortex[a] for a, b in combinations(cortex, 2)}
    panels.append((QUANTILE, "difference of cortex volumes", _quantiles(pairs)))
    panels.append((QUANTILE, "sum of logarithms", _quantiles(np.log(cortex) + np.log(ratio))))
    panels.append((QUANTILE, "difference of logarithms", _quantiles(np.log(cortex) - np.log(ratio))))
    fig, axes = lettered_panels(9, row_mm=50)
    rows = []
    for letter, ax, (x, y, groups) in zip("abcdefghi", axes, panels, strict=True):
        _panel(ax, groups, quantiles=x == QUANTILE)
        ax.set(xlabel=x, ylabel=y)
        where = {"panel": letter, "shown": y}
        rows += [pd.DataFrame({**where, "group": name, "x": xs, "y": ys}) for name, (xs, ys) in groups.items()]
    return fig, pd.concat(rows, ignore_index=True)


def _quantiles(groups: Mapping[Any, pd.Series]) -> Groups:
    """Normal quantiles and standardised values of each group that varies."""
    values = {str(name): group.dropna() for name, group in groups.items()}
    return {
        name: (_normal(len(group)), np.sort(stats.zscore(group, ddof=1)))
        for name, group in values.items()
        if len(group) > 2 and np.ptp(group) > 0
    }


def _normal(n: int) -> np.ndarray:
    return stats.norm.ppf((np.arange(1, n + 1) - 0.375) / (n + 0.25))


def _panel(ax: Axes, groups: Groups, quantiles: bool) -> None:
    """Draw the groups; quantiles with the line of normal values and the pointwise 95 % band of the largest group."""
    for (name, (x, y)), colour in zip(groups.items(), CYCLE, strict=False):
        ax.plot(x, y, "o", color=colour, label=name, markersize=2.2, alpha=0.8, markeredgewidth=0)
    if not quantiles:
        ax.axhline(0, color=BLACK, linewidth=0.6, linestyle=":", zorder=1)
        return
    n = max((len(x) for x, _ in groups.values()), default=0)
    rank = np.arange(1, n + 1)
    band = [stats.norm.ppf(stats.beta.ppf(edge, rank, n + 1 - rank)) for edge in (0.025, 0.975)]
    ax.fill_between(_normal(n), *band, color=GREY, alpha=0.2, linewidth=0)
    ax.plot(_normal(n), _normal(n), color=BLACK, linewidth=0.6, linestyle=":", zorder=1)
    if len(groups) > 1:
        look = {"handletextpad": 0, "labelspacing": 0.2, "borderaxespad": 0.1, "markerscale": 1.2}
        ax.legend(title="TE (ms)", fontsize=5.5, title_fontsize=5.5, **look)
