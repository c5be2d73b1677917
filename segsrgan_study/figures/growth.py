"""Volumes against age, each case a point on the curve of what is expected."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from segsrgan_study.figures.style import BLACK, GREEN, GREY, ORANGE, RED, Plot, lettered_panels, require, styled
from segsrgan_study.statistics.growth import Curve

COLORS = {"good": GREEN, "look": ORANGE, "do not use": RED}  # of verdicts
NAMED_Z = 2.0  # beyond it a case is named
MOST_NAMED = 12


@styled
def draw(volumes: pd.DataFrame, curves: Mapping[str, Curve]) -> Plot:
    """Draw a panel for each curve that there are volumes of: mean, 95 % of the subjects where known, and the cases.

    The volumes have a row a case and volume, with columns case, name (of the volume), age_weeks, volume_ml; verdict and
    the ends low_ml and high_ml of an interval where known. Curves go by that name. Values: the rows of `volumes` with
    panel and z, and those of the curves (case "").
    """
    volumes = volumes.dropna(subset=["age_weeks", "volume_ml"])
    names = [name for name in curves if name in set(volumes["name"])]
    require(len(names) > 0, "no volume with an age and a curve: no growth to draw.")
    fig, axes = lettered_panels(len(names), row_mm=62, columns=2)
    plotted = []
    for ax, name in zip(axes, names, strict=True):
        curve, rows = curves[name], volumes[volumes["name"] == name]
        ages = np.linspace(*curve.ages_weeks, 101)
        low, middle, high = curve.expected(ages)
        ax.fill_between(ages, np.maximum(low, 0), high, color=GREY, alpha=0.2, linewidth=0)
        ax.plot(ages, middle, color=GREY, linewidth=1.0)
        z = curve.z(rows["age_weeks"].to_numpy(), rows["volume_ml"].to_numpy())
        colors = [COLORS.get(verdict, BLACK) for verdict in rows.get("verdict", [""] * len(rows))]
        if "low_ml" in rows:
            ax.vlines(rows["age_weeks"], rows["low_ml"], rows["high_ml"], colors=colors, linewidth=0.7)
        ax.scatter(rows["age_weeks"], rows["volume_ml"], s=14, c=colors, edgecolors="white", linewidths=0.4, zorder=3)
        far = np.argsort(-np.nan_to_num(np.abs(z)))[:MOST_NAMED]
        for i in far[np.abs(z[far]) > NAMED_Z]:
            place = (rows["age_weeks"].iloc[i], rows["volume_ml"].iloc[i])
            ax.annotate(rows["case"].iloc[i], place, (3, 3), textcoords="offset points", fontsize=5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="age (weeks)", ylabel=f"{name.replace('_', ' ')} (ml)", ylim=(0, None))
        expected = {"age_weeks": ages, "expected_ml": middle, "expected_low_ml": low, "expected_high_ml": high}
        plotted += [rows.assign(panel=name, z=z), pd.DataFrame(expected).assign(panel=name, case="", name=name)]
    return fig, pd.concat(plotted, ignore_index=True)
