"""Tables on what the echo time costs and what correcting for it is worth, from `results/variability/metrics.json`."""

from collections.abc import Mapping
from typing import Any

from segsrgan_study.report.tables import MISSING, Table, interval, number
from segsrgan_study.statistics.spread import TITLES

# Score of volumes.csv: title with unit, decimals.
SCORES = {"cortex_dice": ("Dice of the cortex", 3), "psnr": ("PSNR (dB)", 2), "psnr_spline": ("spline's PSNR (dB)", 2)}


def scores_by_te(scores: Mapping[str, Mapping]) -> Table:
    """How good the segmentations are at each echo time; no rows where no truth is known."""
    known = {name: by_te for name, by_te in scores.items() if name in SCORES}
    rows = []
    for te in next(iter(known.values()), {}):
        entries = [(by_te[te], SCORES[name][1]) for name, by_te in known.items()]
        cells = [f"{number(e['mean'], d)} ({number(e['sd'], d)}) {interval(e['ci95'], d)}" for e, d in entries]
        rows.append([f"{te} ms", str(entries[0][0]["n"]), *cells])
    columns = ["TE", "n", *(SCORES[name][0] for name in known)]
    caption = "Mean (sd) [95 % bootstrap interval of the mean over patients], against the known truth."
    return Table("scores_by_te", "Quality at each echo time", caption, columns, rows)


def harmonisation_table(entries: Mapping[str, Mapping[str, Any]]) -> Table:
    """The factor of each echo time, and the variation within a patient before and after it is divided out."""
    rows = []
    for measure, entry in entries.items():
        if "factors" not in entry:
            continue
        rows += [
            [TITLES[measure], f"factor at TE {te} ms", number(factor["value"]), interval(factor["ci95"])]
            for te, factor in entry["factors"].items()
        ]
        before, after = (entry["within_patient_cv"][when].get("rms") for when in ("before", "after"))
        share = entry["cover"]["share"]
        rows += [
            [TITLES[measure], "variation within a patient before (%)", number(before, 2, 100), MISSING],
            [TITLES[measure], "variation within a patient after (%)", number(after, 2, 100), MISSING],
            [TITLES[measure], "after over before", number(entry["cv_ratio"]), interval(entry["cv_ratio_ci95"])],
            [TITLES[measure], "corrected volumes whose interval holds (%)", number(share, 0, 100), MISSING],
        ]
    caption = (
        "Volumes divided by a factor of their echo time, from a mixed model of the logarithms. The factors are of all "
        "patients, with 95 % Wald intervals; the variation over echo times (root-mean-square coefficient) is that of "
        "patients held out from the fit, one at a time, its ratio with a bootstrap interval over patients. Last row: "
        "how often the 95 % interval of a corrected volume holds what the reference echo time measured."
    )
    columns = ["measure", "quantity", "value", "95 % interval"]
    return Table("harmonisation", "Correction to the reference echo time", caption, columns, rows, n_text=2)
