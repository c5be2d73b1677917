"""What the statistics take for granted, as plots: normal quantiles, and residuals against fitted values."""

from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from segsrgan_study.figures.style import (
    BLACK,
    CYCLE,
    GREY,
    new_figure,
    panel_letters,
    require,
    require_columns,
    styled,
)
from segsrgan_study.statistics.mixed_model import residuals
from segsrgan_study.statistics.spread import MEASURES, TITLES, wide

NAME = "assumptions"
CAPTION = (
    "The assumptions of the statistics. Mixed model of the cortical volume (a to c) and of cortex / ICV (d to f): "
    "normal quantiles of the residuals, residuals against fitted values by echo time (colours as in h; an even band "
    "around zero is wanted), normal quantiles of the patients' intercepts. Below: normal quantiles of the differences "
    "between echo times, on which the limits of agreement rest (g), and of the sum and the difference of the "
    "logarithms of volume and ratio, on which the Pitman-Morgan test rests (h, i). In all but b and e the values are "
    "standardised: on the line they are normal, and 95 of 100 normal points fall into the grey band."
)
SOURCE = "results/variability/volumes.csv"


@styled
def draw(volumes: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw the plots from the table of volumes.

    Returns:
        The figure, and its points: panel, group (TE or pair of TE), x, y.
    """
    require_columns(volumes, ["subject", "te_ms", *MEASURES.values()], SOURCE)
    left = {measure: residuals(volumes, column) for measure, column in MEASURES.items()}
    require(all(map(len, left.values())), f"{SOURCE}: the mixed model cannot be fitted; it needs three patients.")
    fig = new_figure(height_mm=150)
    axes = fig.subplots(3, 3)
    for row, (measure, frame) in zip(axes, left.items(), strict=False):
        _quantiles(row[0], {"all": frame["residual"]}, f"residual, {TITLES[measure]}")
        _against_fitted(row[1], frame, f"residual, {TITLES[measure]}{' (ml)' if measure == 'cortex' else ''}")
        _quantiles(row[2], {"all": frame.drop_duplicates("subject")["intercept"]}, f"intercept, {TITLES[measure]}")
    for ax, (title, groups) in zip(axes[2], _differences(volumes).items(), strict=True):
        _quantiles(ax, groups, title)
    panel_letters(list(axes.flat))
    return fig, _points(axes)


def _differences(volumes: pd.DataFrame) -> dict[str, dict[str, pd.Series]]:
    cortex, ratio = (wide(volumes, column) for column in MEASURES.values())
    pairs = {f"{b} \N{MINUS SIGN} {a}": (cortex[b] - cortex[a]).dropna() for a, b in combinations(cortex.columns, 2)}
    logs = {str(te): np.log(pd.concat([cortex[te], ratio[te]], axis=1).dropna()) for te in cortex.columns}
    return {
        "difference of cortex volumes": pairs,
        "sum of logarithms": {te: log.sum(axis=1) for te, log in logs.items()},
        "difference of logarithms": {te: log.iloc[:, 0] - log.iloc[:, 1] for te, log in logs.items()},
    }


def _quantiles(ax: Axes, groups: dict[str, pd.Series], title: str) -> None:
    """Plot each group, standardised, against normal quantiles, with the pointwise 95 % band of the largest."""
    n = max(map(len, groups.values()))
    rank = np.arange(1, n + 1)
    normal = stats.norm.ppf((rank - 0.375) / (n + 0.25))
    band = [stats.norm.ppf(stats.beta.ppf(edge, rank, n + 1 - rank)) for edge in (0.025, 0.975)]
    ax.fill_between(normal, *band, color=GREY, alpha=0.2, linewidth=0)
    ax.plot(normal, normal, color=BLACK, linewidth=0.6, linestyle=":")
    for (name, values), colour in zip(groups.items(), CYCLE, strict=False):
        values = np.sort(np.asarray(values, float))
        if len(values) > 2 and np.ptp(values) > 0:
            place = stats.norm.ppf((np.arange(1, len(values) + 1) - 0.375) / (len(values) + 0.25))
            look = {"color": colour, "markersize": 2.2, "alpha": 0.8, "markeredgewidth": 0}
            ax.plot(place, (values - values.mean()) / values.std(ddof=1), "o", label=name, gid="points", **look)
    _label(ax, "normal quantile", title, len(groups) > 1)


def _against_fitted(ax: Axes, frame: pd.DataFrame, title: str) -> None:
    ax.axhline(0, color=BLACK, linewidth=0.6, linestyle=":")
    for (te, part), colour in zip(frame.groupby("te_ms"), CYCLE, strict=False):
        look = {"color": colour, "markersize": 2.2, "alpha": 0.8, "markeredgewidth": 0}
        ax.plot(part["fitted"], part["residual"], "o", label=f"{te:g}", gid="points", **look)
    _label(ax, "fitted value", title, legend=False)


def _label(ax: Axes, x: str, y: str, legend: bool) -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if legend:
        look = {"handletextpad": 0, "labelspacing": 0.2, "borderaxespad": 0.1, "markerscale": 1.2}
        ax.legend(title="TE (ms)", fontsize=5.5, title_fontsize=5.5, **look)


def _points(axes: np.ndarray) -> pd.DataFrame:
    """Read the points back from the panels: the table is what is drawn."""
    rows = [
        pd.DataFrame({"panel": letter, "shown": ax.get_ylabel(), "group": line.get_label(), "x": x, "y": y})
        for letter, ax in zip("abcdefghi", axes.flat, strict=True)
        for line in ax.lines
        if line.get_gid() == "points"
        for x, y in [line.get_data()]
    ]
    return pd.concat(rows, ignore_index=True)
