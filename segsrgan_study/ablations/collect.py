"""Summary of the ablations' runs over their seeds."""

from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_study.files import write_csv
from segsrgan_study.params import Plan, read_plan
from segsrgan_study.paths import Study
from segsrgan_study.statistics.agreement import within_patient_cv

SCORES = ("psnr_gain", "dice", "te_cv", "te_bias", "te_dice")


def collect_ablations(study: Study) -> dict[str, Any]:
    """Write `results/ablations/table.csv` and `metrics.json` from the runs that are complete for every seed.

    What `summarised` gives is returned; `metrics.json` holds "cohort" and "setting" besides. A UserError where no run
    is complete.
    """
    plan, folder = read_plan(study.ablations), study.results / "ablations"
    paths = {run: [folder / "runs" / f"{run}-{seed}.csv" for seed in plan.seeds] for run in plan.runs}
    made = [path for run in plan.runs if all(path.is_file() for path in paths[run]) for path in paths[run]]
    if not made:
        raise UserError(f"{folder / 'runs'}: no run has a table for each seed, {plan.seeds}; run `make ablations`.")
    scores = pd.concat([pd.read_csv(path, dtype={"subject": str}) for path in made], ignore_index=True)
    settings = plan.settings(next(iter(plan.runs)), plan.seeds[0], study.params)
    if (slice_mm := settings.simulation.slice_mm) not in plan.thickness_mm:
        raise UserError(f"{study.ablations}: thickness_mm leaves out the study's {slice_mm:g} mm; add it.")
    metrics = summarised(scores, plan, slice_mm)
    write_csv(folder / "table.csv", ablation_table(metrics))
    write_json(folder / "metrics.json", {"cohort": settings.cohort, "setting": settings.setting, **metrics})
    return metrics


def summarised(scores: pd.DataFrame, plan: Plan, slice_mm: float) -> dict[str, Any]:
    """Summarise the scores of `run_ablation` over subjects, then over seeds; runs are compared at slices of `slice_mm`.

    "factors": {factor: {level: {"run", score: {"mean", "sd", "values"}}}} over the seeds. Scores: "psnr_gain" over the
    spline in dB, "dice" of the cortex, and over TE "te_cv", the cortical volume's coefficient of variation within a
    patient, "te_bias", its mean relative error, and "te_dice"; None where the cohort has no such data. "curves": {run:
    {mm: {"psnr", "psnr_spline", "dice"}}}. "not_run": runs without scores, absent from "factors".
    """
    by_seed = pd.DataFrame(
        {"run": run, "seed": seed, **_of_seed(part, slice_mm)} for (run, seed), part in scores.groupby(["run", "seed"])
    ).reindex(columns=["run", "seed", *SCORES])
    of_runs = {
        run: {"run": run} | {name: _over_seeds(part[name]) for name in SCORES} for run, part in by_seed.groupby("run")
    }
    means = scores[scores["part"] == "thickness"].groupby(["run", "condition", "metric", "seed"])["value"].mean()
    curves: dict[str, dict] = {}
    for (run, mm, metric), values in means.groupby(["run", "condition", "metric"]):
        curves.setdefault(run, {}).setdefault(f"{mm:g}", {})[metric] = _over_seeds(values)
    factors = {
        factor: {level: of_runs[run] for level, run in levels.items() if run in of_runs}
        for factor, levels in plan.factors.items()
    }
    not_run = [run for run in plan.runs if run not in of_runs]
    return {"seeds": plan.seeds, "slice_mm": slice_mm, "not_run": not_run, "factors": factors, "curves": curves}


def _of_seed(scores: pd.DataFrame, slice_mm: float) -> dict[str, float]:
    """Return the scores of one run with one seed: means over subjects."""
    at = scores[(scores["part"] == "thickness") & (scores["condition"] == slice_mm)]
    means = at.groupby("metric")["value"].mean()
    wide = scores[scores["part"] == "echoes"].pivot(index=["subject", "condition"], columns="metric", values="value")
    wide = wide.reindex(columns=["cortex_ml", "cortex_true_ml", "cortex_dice"])
    return {
        "psnr_gain": means["psnr"] - means["psnr_spline"],
        "dice": means["dice"],
        "te_cv": within_patient_cv(wide["cortex_ml"].unstack()).get("rms"),
        "te_bias": (wide["cortex_ml"] / wide["cortex_true_ml"] - 1).mean(),
        "te_dice": wide["cortex_dice"].mean(),
    }


def _over_seeds(values: pd.Series) -> dict[str, Any] | None:
    """Return mean, standard deviation (None for one seed) and values of a score; None where it is unknown."""
    known = values.astype(float).dropna()
    sd = known.std() if len(known) > 1 else None
    return {"mean": known.mean(), "sd": sd, "values": known.tolist()} if len(known) else None


def ablation_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Return `table.csv` from what `summarised` returns: factor, level, run, seeds, mean and sd of each score."""
    return pd.DataFrame(
        {"factor": factor, "level": level, "run": entry["run"], "seeds": len(metrics["seeds"])}
        | {f"{name}_{key}": (entry[name] or {}).get(key) for name in SCORES for key in ("mean", "sd")}
        for factor, levels in metrics["factors"].items()
        for level, entry in levels.items()
    )
