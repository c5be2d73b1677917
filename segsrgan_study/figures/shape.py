"""Shape of the cortex as found against the truth, a panel per measure."""

import pandas as pd

from segsrgan_study.figures.style import BLUE, GREY, ORANGE, Plot, lettered_panels, require, styled

TITLES = {"area_cm2": "area (cm²)", "white_area_cm2": "inner area (cm²)", "thickness_mm": "thickness (mm)"}
TITLES |= {"gyrification": "gyrification", "depth_mm": "depth of sulci (mm)"}
SHOWN = ("area_cm2", "thickness_mm", "gyrification", "depth_mm")
LOOKS = {"left": (BLUE, "o"), "right": (ORANGE, "^")}


@styled
def draw(pairs: pd.DataFrame) -> Plot:
    """Draw a point per hemisphere of `statistics.truth.against_truth`, with the line on which found and true agree."""
    shown = pairs[pairs["measure"].isin(SHOWN)]
    require(len(shown) > 0, "no shape of the cortex was measured: the network does not know white matter.")
    measures = [measure for measure in SHOWN if (shown["measure"] == measure).any()]
    fig, axes = lettered_panels(len(measures), row_mm=50, columns=4)
    for ax, measure in zip(axes, measures, strict=True):
        part = shown[shown["measure"] == measure]
        low, high = part[["found", "true"]].min().min(), part[["found", "true"]].max().max()
        ends = [low - 0.08 * (high - low), high + 0.08 * (high - low)]
        ax.plot(ends, ends, color=GREY, linewidth=0.6, linestyle=":")
        for side, (color, marker) in LOOKS.items():
            of_side = part[part["side"] == side]
            ax.scatter(of_side["true"], of_side["found"], s=12, color=color, marker=marker, label=side)
        ax.set(xlabel=f"true {TITLES[measure]}", ylabel=f"found {TITLES[measure]}")
        ax.set(xlim=ends, ylim=ends, aspect="equal")
    axes[0].legend(loc="upper left", handletextpad=0.2)
    return fig, shown.reset_index(drop=True)
