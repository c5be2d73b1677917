"""Comparison of methods on the test subjects: box plots with a point per subject."""

from collections.abc import Mapping
from itertools import cycle

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from segsrgan_study.figures.style import CYCLE, METHOD_TITLES, Plot, lettered_panels, method_title, require, styled

PANELS = {"psnr": "PSNR (dB)", "ssim": "SSIM", "dice": "Dice"}
PANELS |= {"hd95_mm": "95 % Hausdorff (mm)", "asd_mm": "surface distance (mm)", "volume_error": "volume error (%)"}


@styled
def draw(scores: pd.DataFrame, titles: Mapping[str, str] = METHOD_TITLES, structure: str = "cortex") -> Plot:
    """Draw a panel per metric of `results/evaluation/per_subject.csv`, SegSRGAN first in each."""
    shown = scores[scores["structure"].isin(["image", structure]) & scores["metric"].isin(list(PANELS))]
    require(len(shown) > 0, f"results/evaluation/per_subject.csv holds no score of the image or of {structure}.")
    methods = sorted(shown["method"].unique(), key=lambda method: (method != "segsrgan", method))
    colours = dict(zip(methods, cycle(CYCLE), strict=False))
    metrics = [metric for metric in PANELS if (shown["metric"] == metric).any()]
    fig, axes = lettered_panels(len(metrics), row_mm=54)
    for ax, metric in zip(axes, metrics, strict=True):
        part = shown[shown["metric"] == metric]
        if metric == "volume_error":
            part = part.assign(value=100 * part["value"])
            ax.axhline(0, color="black", linewidth=0.6, linestyle=":")
        _panel(ax, part, colours, titles)
        ax.set(ylabel=PANELS[metric], xlabel="")
    return fig, shown.reset_index(drop=True)


def _panel(ax: Axes, scores: pd.DataFrame, colours: Mapping[str, str], titles: Mapping[str, str]) -> None:
    present = [method for method in colours if (scores["method"] == method).any()]
    for position, method in enumerate(present):
        line = {"color": colours[method], "linewidth": 0.8}
        looks = {f"{part}props": line for part in ("box", "whisker", "cap", "median")}
        values = scores.loc[scores["method"] == method, "value"].dropna()
        ax.boxplot(values, positions=[position], widths=0.55, showfliers=False, **looks)
    look = {"palette": dict(colours), "legend": False, "size": 2.6, "alpha": 0.75, "warn_thresh": 1}
    sns.swarmplot(scores, x="method", y="value", hue="method", order=present, ax=ax, **look)
    names = [method_title(method, titles) for method in present]
    turned = any(len(name) > 9 for name in names) and len(names) > 2
    look = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    ax.set_xticks(range(len(present)), names, **look)
