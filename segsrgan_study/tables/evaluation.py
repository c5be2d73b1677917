"""Tables of the evaluation on the test subjects, from `results/evaluation/metrics.json`."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from segsrgan_study.figures.shape import TITLES
from segsrgan_study.figures.style import method_title
from segsrgan_study.statistics.summary import method_titles
from segsrgan_study.tables.cells import MISSING, cell, rows, text_frame

# Title and format of each metric.
IMAGE = {"psnr": ("PSNR (dB)", ".2f"), "ssim": ("SSIM", ".3f")}
LABELS = {"dice": ("Dice", ".3f"), "hd95_mm": ("95 % Hausdorff (mm)", ".2f")}
LABELS |= {"asd_mm": ("surface distance (mm)", ".3f"), "volume_error": ("volume error", ".1%")}
TOPOLOGY = {"n_components": ("components", ".1f"), "n_handles": ("handles", ".0f"), "n_cavities": ("cavities", ".1f")}
TOPOLOGY |= {"hole_ratio": ("hole ratio", ".2%"), "euler_error": ("error of the Euler number", ".0f")}
METRICS = IMAGE | LABELS | TOPOLOGY
# The talk's means over 8 dHCP test images.
TALK = {"SegSRGAN": {"psnr": "26.96", "dice": "0.855 (0.014)"}, "cubic spline": {"psnr": "24.22"}}
TALK |= {"IMAPA": {"dice": "0.786 (0.023)"}, "DrawEM": {"dice": "0.730 (0.010)"}}
Metrics = Mapping[str, Any]


def by_method(metrics: Metrics, names: Collection[str]) -> pd.DataFrame:
    """Mean (sd) [interval] of each method, SegSRGAN first; on dHCP the talk's values, too.

    `metrics` are `results/evaluation/metrics.json`, names IMAGE, or LABELS or TOPOLOGY, which are those of the cortex.
    """
    found = {name: metrics.get(name, {}) for name in names}
    scores = {name: by if name in IMAGE else by.get("cortex", {}) for name, by in found.items()}
    methods = sorted({method for entries in scores.values() for method in entries}, key=lambda m: (m != "segsrgan", m))
    table = {}
    for method in methods:
        found = {name: entries.get(method, {}) for name, entries in scores.items()}
        reason = next((f" ({entry['reason']})" for entry in found.values() if "reason" in entry), "")
        cells = {"n": str(max(entry.get("n", 0) for entry in found.values()))}
        for name, entry in found.items():
            heading, spec = METRICS[name]
            undefined = ", {n_missing} undefined" if entry.get("n_missing") else ""
            cells[heading] = cell(f"{{mean:{spec}}} ({{sd:{spec}}}) {{ci95:{spec}}}{undefined}", entry)
        table[title(metrics, method) + reason,] = cells
    for method, values in TALK.items() if metrics.get("cohort") == "dhcp" else ():
        cells = {METRICS[name][0]: values.get(name, MISSING) for name in names}
        table |= {(f"{method}, the talk's value",): {"n": "8", **cells}} if set(cells.values()) != {MISSING} else {}
    return text_frame(table, ["method"])


def shape(agreement: pd.DataFrame) -> pd.DataFrame:
    """Shape of the cortex against the truth and over echo times, of `statistics.truth.shape_agreement`."""
    columns = {"n": "{n:.0f}", "found / true": "{ratio:.2f}", "range": "{lowest:.2f} to {highest:.2f}"}
    columns |= {"mean error": "{error:.1%}", "correlation": "{correlation:.3f}", "CV over TE": "{cv_over_te:.1%}"}
    return rows(agreement.to_dict("index"), ["measure"], columns, TITLES.get)


def title(metrics: Metrics, name: str) -> str:
    """A metric or a method as it is printed."""
    return METRICS[name][0] if name in METRICS else method_title(name, method_titles(metrics))


def tests(metrics: Metrics) -> pd.DataFrame:
    """SegSRGAN against each other method, a row per metric and method, from `results/evaluation/metrics.json`."""
    frames = []
    for name in (*IMAGE, *LABELS):
        spec = METRICS[name][1]
        found = metrics.get("tests", {}).get(name, {})
        columns = {"n": "{n}", "difference": f"{{difference:{spec}}}", "interval": f"{{ci95:{spec}}}"}
        columns |= {"p": "{p:p}", "p (Holm)": "{p_holm:p}", "least p": "{smallest_p:p}"}
        nest = {name: found if name in IMAGE else found.get("cortex", {})}
        frames.append(rows(nest, ["metric", "against"], columns, lambda key: title(metrics, key)))
    return pd.concat(frames)
