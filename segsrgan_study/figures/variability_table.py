"""The rows of the talk's table, and those of the network's intracranial volume, with bootstrap intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from segsrgan_study.figures.style import BLUE, GREEN, ORANGE, Plot, lettered_panels, require, styled
from segsrgan_study.statistics.spread import TITLES

STATISTICS = {"sd_over_mean": "sd / mean", "iqr_over_median": "IQR / median"}
LOOKS = {"cortex": (BLUE, "o", -1), "cortex_over_icv": (ORANGE, "s", 0)}  # colour, marker, side
LOOKS |= {"cortex_over_icv_bet": (GREEN, "^", 1)}
# The talk's table: 43 patients of Epirmex, ICV by BET.
TALK = {
    "sd_over_mean": {
        "cortex": {"120": 0.0939, "200": 0.0942, "280": 0.0960, "360": 0.1053},
        "cortex_over_icv_bet": {"120": 0.0543, "200": 0.0396, "280": 0.0443, "360": 0.0875},
    },
    "iqr_over_median": {
        "cortex": {"120": 0.0956, "200": 0.1018, "280": 0.0852, "360": 0.0960},
        "cortex_over_icv_bet": {"120": 0.0471, "200": 0.0465, "280": 0.0534, "360": 0.0764},
    },
}


@styled
def draw(metrics: Mapping[str, Any], with_talk: bool = False) -> Plot:
    """Draw the spread of all measures at each TE, of `results/variability/metrics.json`.

    The talk's values are for the cohort `epirmex` only, as no other is the talk's. Values: statistic, measure, te_ms,
    value, low, high (and talk).
    """
    points = [
        (statistic, measure, int(te), value, *(metrics[f"{statistic}_ci95"][measure][te] or (None, None)))
        for statistic in STATISTICS
        for measure in LOOKS
        for te, value in metrics[statistic][measure].items()
    ]
    points = pd.DataFrame(points, columns=["statistic", "measure", "te_ms", "value", "low", "high"])
    points = points.astype(dict.fromkeys(("value", "low", "high"), float))  # None, where all volumes are alike, is NaN
    if with_talk:
        keys = points[["statistic", "measure", "te_ms"]].itertuples(index=False, name=None)
        points["talk"] = [TALK[statistic].get(measure, {}).get(str(te)) for statistic, measure, te in keys]
    require(bool(points["value"].notna().any()), "results/variability/metrics.json: no TE has two patients or more.")
    fig, axes = lettered_panels(2, 66, columns=2, width_mm=150, sharey=True)
    for ax, (statistic, label) in zip(axes, STATISTICS.items(), strict=True):
        for measure, part in points[points["statistic"] == statistic].groupby("measure"):
            colour, marker, side = LOOKS[measure]
            step = side * 0.02 * max(np.ptp(part["te_ms"]), 100)
            # A percentile interval need not hold the estimate itself: bars never get a negative length.
            reach = np.maximum([part["value"] - part["low"], part["high"] - part["value"]], 0)
            places, title = part["te_ms"] + step, TITLES[measure]
            ax.errorbar(places, part["value"], reach, color=colour, marker=marker, capsize=2, label=title)
            if with_talk and part["talk"].notna().any():
                look = {"marker": "D", "linestyle": "none", "color": colour, "markerfacecolor": "none"}
                ax.plot(places + step, part["talk"], **look, label=f"the talk, {title}")
        ax.set(ylabel=label, xlabel="TE (ms)", xticks=sorted(points["te_ms"].unique()))
        ax.tick_params(labelleft=True)
    axes[0].set_ylim(bottom=0)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig, points
