"""Error of the volumes over the echo time under physics that no training has seen."""

import pandas as pd

from segsrgan_study.figures.style import BLACK, CYCLE, Plot, lettered_panels, require, styled

PANELS = {"cortex": "error of cortical volume (%)", "icv": "error of ICV, network (%)"}


@styled
def draw(physics: pd.DataFrame) -> Plot:
    """Draw the errors of `results/variability/physics.csv`, a line per scanner: solid with the skull, dashed without.

    Values: physics, subject, skull, te_ms, and the errors in per cent by panel.
    """
    require(len(physics) > 0, "results/variability/physics.csv holds no image: no effect to draw.")
    errors = {name: 100 * (physics[f"{name}_ml"] / physics[f"{name}_true_ml"] - 1) for name in PANELS}
    shown = physics[["physics", "subject", "skull", "te_ms"]].assign(**errors)
    fig, axes = lettered_panels(len(PANELS), row_mm=70, columns=2)
    for ax, (name, label) in zip(axes, PANELS.items(), strict=True):
        for (scanner, scans), color in zip(shown.groupby("physics", sort=False), CYCLE, strict=False):
            for skull, style in ((True, "-"), (False, "--")):
                line = scans[scans["skull"] == skull]
                named = scanner if skull else f"{scanner}, no skull"
                ax.plot(line["te_ms"], line[name], style, color=color, marker="o", markersize=2.5, label=named)
        ax.axhline(0, color=BLACK, linewidth=0.9, linestyle=":")
        ax.set(ylabel=label, xlabel="TE (ms)", xticks=sorted(shown["te_ms"].unique()))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=6)
    return fig, shown
