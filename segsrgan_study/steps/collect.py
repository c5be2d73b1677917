"""What the runs of the ablations say together: a row a level of each factor, over the seeds."""

from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_study.ablations import Ablations, read_ablations, settings_of
from segsrgan_study.files import write_csv
from segsrgan_study.paths import Study
from segsrgan_study.statistics.agreement import within_patient_cv

CONTRAST = "contrast"  # the factor whose levels are compared in the variability analysis
SCORES = ("psnr_gain", "dice", "te_cv", "te_bias", "te_dice")


def collect_ablations(study: Study) -> dict[str, Any]:
    """Write `results/ablations/table.csv` and `metrics.json` from the runs of the plan that were made with every seed.

    Returns:
        As `metrics.json`: "factors", "curves", "within_patient_cv" and "not_run", see `summarised`; "cohort" and
        "setting".

    Raises:
        UserError: no run was made with every seed.
    """
    plan, folder = read_ablations(study.ablations), study.results / "ablations"
    paths = {run: [folder / "runs" / f"{run}-{seed}.csv" for seed in plan.seeds] for run in plan.runs}
    made = [path for run in plan.runs if all(path.is_file() for path in paths[run]) for path in paths[run]]
    if not made:
        raise UserError(
            f"{folder / 'runs'}: expected the tables of at least one run, one for each of the seeds {plan.seeds}; "
            "received none; run `make ablations`."
        )
    scores = pd.concat([pd.read_csv(path, dtype={"subject": str}) for path in made], ignore_index=True)
    settings = settings_of(plan, next(iter(plan.runs)), plan.seeds[0], study.params)
    if settings.simulation.slice_mm not in plan.thickness_mm:
        raise UserError(
            f"{study.ablations}: expected the study's {settings.simulation.slice_mm:g} mm among thickness_mm; "
            f"received {plan.thickness_mm}."
        )
    metrics = summarised(scores, plan, settings.simulation.slice_mm)
    write_csv(folder / "table.csv", ablation_table(metrics))
    write_json(folder / "metrics.json", {"cohort": settings.cohort, "setting": settings.setting, **metrics})
    return metrics


def summarised(scores: pd.DataFrame, plan: Ablations, slice_mm: float) -> dict[str, Any]:
    """Summarise the runs' scores over subjects, then over seeds.

    Args:
        scores: of `ablate.run_ablation`, all runs.
        plan: of the ablations.
        slice_mm: the thickness at which the runs are compared.

    Returns:
        "factors": factor, level, score to {"mean", "sd", "values"} over seeds (and the run's name). "psnr_gain" over
        the spline in dB and "dice" of the cortex on the test cases; over TE, "te_cv", the coefficient of variation of
        the cortical volume within a patient, "te_bias", its mean relative error, and "te_dice"; a score that the cohort
        cannot give is None. "curves": run, thickness in mm, "psnr", "psnr_spline" and "dice". "within_patient_cv":
        "te_cv" of each level of the factor contrast, mean over seeds. "not_run": runs of the plan without scores; their
        levels are left out.
    """
    of_runs = {run: _over_seeds(_by_seed(part, slice_mm)) for run, part in scores.groupby("run")}
    factors = {
        factor: {level: {"run": run, **of_runs[run]} for level, run in levels.items() if run in of_runs}
        for factor, levels in plan.factors.items()
    }
    curves = {run: _curve(part) for run, part in scores[scores["part"] == "thickness"].groupby("run")}
    cv = {level: entry["te_cv"]["mean"] for level, entry in factors.get(CONTRAST, {}).items() if entry["te_cv"]}
    not_run = [run for run in plan.runs if run not in of_runs]
    known = {"seeds": plan.seeds, "slice_mm": slice_mm, "not_run": not_run}
    return {**known, "factors": factors, "curves": curves, "within_patient_cv": cv}


def _by_seed(scores: pd.DataFrame, slice_mm: float) -> pd.DataFrame:
    """One row a seed, one column a score."""
    rows = []
    for seed, part in scores.groupby("seed"):
        at = part[(part["part"] == "thickness") & (part["condition"] == slice_mm)]
        means = at.groupby("metric")["value"].mean()
        row = {"psnr_gain": means.get("psnr", float("nan")) - means.get("psnr_spline", float("nan"))}
        rows.append({"seed": seed, **row, "dice": means.get("dice"), **_over_te(part[part["part"] == "echoes"])})
    return pd.DataFrame(rows).set_index("seed").reindex(columns=SCORES).astype(float)


def _over_te(scores: pd.DataFrame) -> dict[str, Any]:
    if scores.empty:
        return {}
    wide = scores.pivot(index=["subject", "condition"], columns="metric", values="value")
    found = {"te_cv": within_patient_cv(wide["cortex_ml"].unstack()).get("rms")}
    if "cortex_true_ml" in wide:
        found["te_bias"] = (wide["cortex_ml"] / wide["cortex_true_ml"] - 1).mean()
    if "cortex_dice" in wide:
        found["te_dice"] = wide["cortex_dice"].mean()
    return found


def _over_seeds(by_seed: pd.DataFrame) -> dict[str, Any]:
    return {name: _described(by_seed[name]) for name in SCORES}


def _described(values: pd.Series) -> dict[str, Any] | None:
    known = values.dropna()
    if known.empty:
        return None
    sd = known.std(ddof=1) if len(known) > 1 else None
    return {"mean": known.mean(), "sd": sd, "values": known.tolist()}


def _curve(scores: pd.DataFrame) -> dict[str, dict[str, Any]]:
    by_seed = scores.groupby(["condition", "seed", "metric"])["value"].mean().unstack()
    return {f"{mm:g}": {name: _described(part[name]) for name in by_seed} for mm, part in by_seed.groupby("condition")}


def ablation_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Return `table.csv`: factor, level, run, seeds, and mean and sd over the seeds of each score."""
    rows = []
    for factor, levels in metrics["factors"].items():
        for level, entry in levels.items():
            row = {"factor": factor, "level": level, "run": entry["run"], "seeds": len(metrics["seeds"])}
            for name in SCORES:
                known = entry[name] or {"mean": None, "sd": None}
                row |= {f"{name}_mean": known["mean"], f"{name}_sd": known["sd"]}
            rows.append(row)
    return pd.DataFrame(rows)
