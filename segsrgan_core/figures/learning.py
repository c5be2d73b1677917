"""Learning curves: the losses of generator and critic, and the validation subjects' scores."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segsrgan_core.figures.style import BLUE, CYCLE, GREY, new_figure, panel_letters, require, require_columns, styled

NAME = "learning"
CAPTION = (
    "Learning curves: the generator's reconstruction (and soft Dice) loss; the adversarial term and the critic's loss; "
    "PSNR and SSIM of whole validation subjects, with cubic-spline interpolation as a dashed line; Dice of whole "
    "validation subjects. A panel is left out where its curve was not recorded."
)
# Panel: (columns and names, label of the vertical axis).
PANELS = (
    ({"loss_rec": "reconstruction", "loss_dice": "soft Dice"}, "loss of the two heads"),
    ({"loss_adv": "adversarial", "loss_critic": "critic"}, "loss"),
    ({"val_psnr": "SegSRGAN", "val_psnr_spline": "cubic spline"}, "validation PSNR (dB)"),
    ({"val_ssim": "SegSRGAN", "val_ssim_spline": "cubic spline"}, "validation SSIM"),
)


@styled
def draw(history: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Draw `results/training/history.csv`: columns epoch and any of those of PANELS and val_dice_<structure>.

    Returns:
        The figure, and the columns that it shows.
    """
    require_columns(history, ["epoch"], "results/training/history.csv")
    dice = {name: name.removeprefix("val_dice_").replace("_", " ") for name in history if name.startswith("val_dice_")}
    panels = [_recorded(history, names) for names, _ in PANELS] + [_recorded(history, dice)]
    labels = [label for _, label in PANELS] + ["validation Dice"]
    drawn = [(names, label) for names, label in zip(panels, labels, strict=True) if names]
    require(bool(drawn), "results/training/history.csv holds no loss and no validation score.")
    rows = -(-len(drawn) // 3)
    fig = new_figure(height_mm=48 * rows + 2)
    axes = list(np.atleast_1d(fig.subplots(rows, min(3, len(drawn)))).flat)
    for ax, (names, label) in zip(axes, drawn, strict=False):
        _curves(ax, history, names)
        ax.set_ylabel(label)
        ax.set_xlabel("epoch")
    for ax in axes[len(drawn) :]:
        ax.remove()
    panel_letters(axes[: len(drawn)])
    return fig, history[["epoch", *(name for names, _ in drawn for name in names)]]


def _recorded(history: pd.DataFrame, names: dict[str, str]) -> dict[str, str]:
    return {column: name for column, name in names.items() if column in history and history[column].notna().any()}


def _curves(ax: Axes, history: pd.DataFrame, names: dict[str, str]) -> None:
    for i, (column, name) in enumerate(names.items()):
        points = history[["epoch", column]].dropna()
        spline = column.endswith("_spline")
        look = {"color": GREY, "linestyle": "--"} if spline else {"color": CYCLE[i % len(CYCLE)] if i else BLUE}
        marker = "o" if len(points) <= 30 and not spline else ""
        ax.plot(points["epoch"], points[column], marker=marker, label=name, **look)
    if len(names) > 1:
        ax.legend(handlelength=1.6)
    ax.xaxis.get_major_locator().set_params(integer=True)
