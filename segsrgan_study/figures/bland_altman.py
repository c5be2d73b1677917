"""Bland-Altman plots of all pairs of echo times."""

from itertools import combinations

import pandas as pd
from matplotlib.axes import Axes

from segsrgan_study.figures.style import BLUE, RED, Plot, lettered_panels, require, styled
from segsrgan_study.statistics.agreement import bland_altman
from segsrgan_study.statistics.spread import wide


@styled
def draw(volumes: pd.DataFrame) -> Plot:
    """Draw all pairs of TE in `results/variability/volumes.csv` that at least three patients have.

    Values: pair, subject, mean, difference, and the pair's bias, lower and upper limits.
    """
    table = wide(volumes, "cortex_ml")
    pairs = [table[list(pair)].dropna() for pair in combinations(table.columns, 2)]
    pairs = [pair for pair in pairs if len(pair) >= 3]
    require(bool(pairs), "results/variability/volumes.csv: no two echo times share three patients, as limits need.")
    fig, axes = lettered_panels(len(pairs), row_mm=58, sharex=True, sharey=True)
    points = [_panel(ax, pair) for ax, pair in zip(axes, pairs, strict=True)]
    fig.supxlabel("mean of the two (ml)", fontsize=7)
    fig.supylabel("difference (ml)", fontsize=7)
    return fig, pd.concat(points, ignore_index=True)


def _panel(ax: Axes, pair: pd.DataFrame) -> pd.DataFrame:
    """Draw the volumes (patients x 2) of two echo times; returns what is drawn."""
    first, second = pair.columns
    limits = bland_altman(pair[first], pair[second])
    mean, difference = pair.mean(axis=1), pair[second] - pair[first]
    ax.axhline(0, color="black", linewidth=0.5, linestyle=":")
    for name, colour, line in (("bias", BLUE, "-"), ("lower", RED, "--"), ("upper", RED, "--")):
        ax.axhspan(*limits[f"{name}_ci95"], color=colour, alpha=0.15, linewidth=0)
        ax.axhline(limits[name], color=colour, linestyle=line)
        text = f"{limits[name]:z#.3g}".replace("-", "\N{MINUS SIGN}")  # z: no minus before 0
        look = {"ha": "left", "va": "center", "fontsize": 6, "color": colour, "annotation_clip": False}
        ax.annotate(text, (1.01, limits[name]), xycoords=("axes fraction", "data"), **look)
    ax.plot(mean, difference, "o", color="black", markersize=2.4, alpha=0.7, markeredgewidth=0)
    ax.margins(x=min(max(2 / len(pair), 0.05), 0.2))
    ax.set_title(f"TE {second} ms minus {first} ms")
    drawn = pd.DataFrame({"pair": f"{second}-{first}", "subject": pair.index, "mean": mean, "difference": difference})
    return drawn.assign(**{name: limits[name] for name in ("bias", "lower", "upper")})
