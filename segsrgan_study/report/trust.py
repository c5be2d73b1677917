"""What the numbers are worth: tables of calibration, standard errors and ablations, findings on echo times."""

from collections.abc import Mapping
from typing import Any

from segsrgan_study.report.tables import MISSING, Table, number

ABLATED = {
    "psnr_gain": ("gain over spline (dB)", 2, 1),
    "dice": ("Dice", 3, 1),
    "te_cv": ("variation over TE (%)", 2, 100),
    "te_bias": ("volume error over TE (%)", 1, 100),
}


def trust_tables(evaluation: Mapping[str, Any], ablations: Mapping[str, Any]) -> list[Table]:
    """The tables beside the evaluation; those without rows are left out."""
    tables = [_calibration(evaluation), _ablations(ablations)]
    return [table for table in tables if table.rows]


def trust_findings(variability: Mapping[str, Any]) -> list[str]:
    """What a reader must know of the echo times, and what harmonisation gives, in a sentence each."""
    findings = []
    if variability.get("resynthesised"):
        findings.append(
            "The images at several echo times were not acquired: the test subjects' images were re-synthesised from "
            "their labels, with relaxation values that training does not draw from."
        )
    entry = variability.get("harmonisation", {}).get("cortex", {})
    if "factors" in entry:
        cv = [number(entry["within_patient_cv"][key]["rms"], 2, 100) for key in ("before", "after")]
        findings.append(
            f"Harmonisation to one echo time changes the coefficient of variation of the cortical volume within a "
            f"patient from {cv[0]} % to {cv[1]} %, for patients that took no part in the fit (n = {entry['n']})."
        )
    return findings


def _calibration(evaluation: Mapping[str, Any]) -> Table:
    errors = evaluation.get("standard_errors", {})
    rows = []
    for structure, by_method in evaluation.get("ece", {}).items():
        entry, cover = by_method.get("segsrgan", {}), errors.get("structures", {}).get(structure, {})
        if not entry.get("n"):
            continue
        ece = f"{number(entry['mean'])} ({number(entry['sd'])})"
        cells = [number(cover.get("relative_se"), 1, 100), number(cover.get("z"), 2), number(cover.get("share"), 2)]
        rows.append([structure.replace("_", " "), str(entry["n"]), ece, *cells])
    caption = (
        "Expected calibration error of the probabilities within 5 mm of the structure, mean (sd) over the test "
        "subjects; standard error of the volumes in % of the volume; root mean square of error over standard error, "
        "which is 1 where the standard errors are right; and the share of the true volumes inside the 95 % intervals "
        f"(Student's t; the standard errors were learnt from {errors.get('cases', 0)} cases)."
    )
    columns = ["structure", "n", "calibration error", "standard error (%)", "error / standard error", "inside"]
    return Table("trust", "Calibration of probabilities and volumes", caption, columns, rows)


def _ablations(metrics: Mapping[str, Any]) -> Table:
    rows = []
    for factor, levels in metrics.get("factors", {}).items():
        for level, entry in levels.items():
            cells = [_spread(entry[name], decimals, scale) for name, (_, decimals, scale) in ABLATED.items()]
            rows.append([factor, level, *cells])
    seeds = len(metrics.get("seeds", []))
    caption = (
        f"Short trainings that differ in one thing each, {seeds} seeds: mean (sd over the seeds) of the gain in PSNR "
        "and the Dice of the cortex on test subjects, of the coefficient of variation of the cortical volume over echo "
        "times within a patient, and of the mean error of that volume."
    )
    if metrics.get("not_run"):
        caption += f" Not run: {', '.join(metrics['not_run'])}."
    columns = ["factor", "level", *(title for title, _, _ in ABLATED.values())]
    return Table("ablations", "Ablations", caption, columns, rows, n_text=2)


def _spread(entry: Mapping[str, Any] | None, decimals: int, scale: float) -> str:
    if entry is None:
        return MISSING
    sd = f" ({number(entry['sd'], decimals, scale)})" if entry["sd"] is not None else ""
    return f"{number(entry['mean'], decimals, scale)}{sd}"
