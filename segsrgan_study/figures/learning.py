"""Learning curves: the losses of generator and critic, and the validation subjects' scores."""

from itertools import cycle

import pandas as pd

from segsrgan_study.figures.style import CYCLE, GREY, Plot, lettered_panels, require, styled

# Label of the vertical axis, and which columns of the history are drawn.
PANELS = {"reconstruction loss": "loss_rec", "segmentation losses": "loss_(dice|ce)"}
PANELS |= {"adversarial losses": "loss_(adv|critic)", "validation PSNR (dB)": "val_psnr(_spline)?"}
PANELS |= {"validation Dice": "val_dice_.*", "learning rate": "learning_rate"}
NAMES = {"loss_dice": "soft Dice", "loss_ce": "cross-entropy", "loss_adv": "adversarial", "loss_critic": "critic"}
NAMES |= {"val_psnr": "SegSRGAN", "val_psnr_spline": "cubic spline"}


@styled
def draw(history: pd.DataFrame, along: str = "epoch", smooth: int = 1) -> Plot:
    """Draw `results/training/history.csv`, or the curve of a running training, along "epoch" or "step".

    Columns are any of those of PANELS. A moving average over `smooth` rows is drawn over the losses, 1 draws none.
    """
    curves = history.set_index(along).dropna(axis=1, how="all")
    panels = {label: curves.filter(regex=f"^{columns}$") for label, columns in PANELS.items()}
    panels = {label: shown for label, shown in panels.items() if len(shown.columns)}
    require(bool(panels), "results/training/history.csv holds no loss and no validation score.")
    fig, axes = lettered_panels(len(panels), row_mm=50)
    first, last = history[along].min(), history[along].max()
    margin = 0.05 * max(last - first, 1)
    for ax, (label, shown) in zip(axes, panels.items(), strict=True):
        for column, color in zip(shown, cycle(CYCLE), strict=False):
            points, spline = shown[column].dropna(), column.endswith("_spline")
            look = {"color": GREY, "linestyle": "--"} if spline else {"color": color}
            if smooth > 1 and column.startswith("loss_"):
                ax.plot(points, **look, linewidth=0.5, alpha=0.4)
                points = points.rolling(smooth, min_periods=1).mean()
            name = NAMES.get(column) or column.removeprefix("val_dice_").replace("_", " ")
            ax.plot(points, marker="o" if len(points) <= 30 and not spline else "", label=name, **look)
        if len(shown.columns) > 1:
            ax.legend(handlelength=1.6)
        ax.set(xlabel=along, ylabel=label, xlim=(first - margin, last + margin))
        ax.xaxis.get_major_locator().set_params(integer=True)
    return fig, pd.concat(panels.values(), axis=1).reset_index()
