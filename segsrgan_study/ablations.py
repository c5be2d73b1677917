"""Ablations: short trainings that each change one setting (`ablations/ablations.yaml`)."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from segsrgan_core.atomic import write_json
from segsrgan_core.classes import NUMBERS
from segsrgan_core.errors import UserError
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.segmenter import Segmenter
from segsrgan_core.settings import Section
from segsrgan_core.simulation import Simulation
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import Settings, merged, read_params, read_yaml, validated
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.statistics.agreement import within_patient_cv
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.network.fit import fit
from segsrgan_study.steps.scores.measure import measure_one

SCORES = ("psnr_gain", "dice", "te_cv", "te_bias", "te_dice")
ECHO_SCORES = ("cortex_dice", "cortex_ml", "cortex_true_ml", "psnr")
COLUMNS = ["run", "seed", "part", "condition", "subject", "metric", "value"]


class Plan(Section):
    """Plan of the ablations; `common` and `runs` hold changes of the study's parameters, `factors` level to run."""

    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    test_cases: int = Field(ge=1)
    patients: int = Field(ge=1)
    thickness_mm: list[Annotated[float, Field(gt=0, le=10)]] = Field(min_length=1)
    common: dict[str, Any]
    runs: dict[str, dict[str, Any]] = Field(min_length=1)
    factors: dict[str, dict[str, str]]

    @model_validator(mode="after")
    def _known(self) -> "Plan":
        unknown = {run for levels in self.factors.values() for run in levels.values()} - self.runs.keys()
        if unknown:
            raise ValueError(f"factors name {', '.join(sorted(unknown))}, which is not among the runs")
        return self

    def settings(self, run: str, seed: int, params: str | Path) -> Settings:
        """Return the settings of one run with a seed of weights and patches, from the study's `params.yaml`.

        A UserError tells that there is no such run, or that it changes an unknown key.
        """
        if run not in self.runs:
            raise UserError(f"ablation: {run!r} is not one of {', '.join(self.runs)}; correct the name.")
        return read_params(params, changes=merged(self.common, self.runs[run], {"seed": seed}))


def read_plan(path: str | Path) -> Plan:
    """Read the plan of the ablations; a UserError where the file is missing, or a key or value is wrong."""
    return validated(Plan, read_yaml(path), str(path))


def run_ablation(study: Study, run: str, seed: int) -> pd.DataFrame:
    """Train one network on the study's prepared cases, or continue its training, and score it; `seed` as in the plan.

    One row per score is returned, and written to `results/ablations/runs/<run>-<seed>.csv`: run, seed, part
    ("thickness", "echoes"), condition (mm, ms), subject, metric, value.
    """
    plan = read_plan(study.ablations)
    settings = plan.settings(run, seed, study.params)
    segmenter = fit(study, settings).segmenter()
    rows = []
    for case in prepared_cases(study, "test")[: plan.test_cases]:
        for mm in plan.thickness_mm:
            scores = _scores(case, settings.simulation.with_thickness(mm), segmenter)
            rows += [(run, seed, "thickness", mm, case.name, *score) for score in scores.items()]
    echoes = prepared_cases(study, "variability")
    patients = list(dict.fromkeys(case.name for case in echoes))[: plan.patients]
    for case in track([case for case in echoes if case.name in patients], "measured"):
        _, found = measure_one(case, segmenter)
        scores = {name: found[name] for name in ECHO_SCORES if name in found}
        rows += [(run, seed, "echoes", case.te_ms, case.name, *score) for score in scores.items()]
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_csv(study.results / "ablations" / "runs" / f"{run}-{seed}.csv", table)
    return table


def _scores(case: PreparedCase, simulation: Simulation, segmenter: Segmenter) -> dict[str, float]:
    """Score a test case cut into slices of another thickness."""
    truth, cortex = load_image(case.hr), np.asarray(load_labels(case.labels).dataobj) == NUMBERS["cortex"]
    # The same noise in every run: it depends on the case and the thickness alone.
    rng = np.random.default_rng([round(1000 * simulation.slice_mm), *case.name.encode()])
    result = segmenter(simulation.acquire(truth, rng), like=truth)
    real = np.asarray(truth.dataobj)
    return {
        "psnr": psnr(real, np.asarray(result.image.dataobj)),
        "psnr_spline": psnr(real, np.asarray(result.interpolated.dataobj)),
        "dice": dice(cortex, np.asarray(result.labels.dataobj) == NUMBERS["cortex"]),
    }


def collect_ablations(study: Study) -> dict[str, Any]:
    """Write `results/ablations/table.csv` and `metrics.json` from the runs that are complete for every seed.

    What `summarised` returns is returned; `metrics.json` holds "cohort" and "setting" besides. A UserError where no run
    is complete.
    """
    plan, folder = read_plan(study.ablations), study.results / "ablations"
    paths = {run: [folder / "runs" / f"{run}-{seed}.csv" for seed in plan.seeds] for run in plan.runs}
    made = [path for run in plan.runs if all(path.is_file() for path in paths[run]) for path in paths[run]]
    if not made:
        raise UserError(f"{folder / 'runs'}: no run has a table for each seed, {plan.seeds}; run `make ablations`.")
    scores = pd.concat([pd.read_csv(path, dtype={"subject": str}) for path in made], ignore_index=True)
    settings = plan.settings(next(iter(plan.runs)), plan.seeds[0], study.params)
    slice_mm = settings.simulation.slice_mm
    if slice_mm not in plan.thickness_mm:
        raise UserError(f"{study.ablations}: thickness_mm leaves out the study's {slice_mm:g} mm; add it.")
    metrics = summarised(scores, plan, slice_mm)
    write_csv(folder / "table.csv", ablation_table(metrics))
    write_json(folder / "metrics.json", {"cohort": settings.cohort, "setting": settings.setting, **metrics})
    return metrics


def summarised(scores: pd.DataFrame, plan: Plan, slice_mm: float) -> dict[str, Any]:
    """Summarise the scores that `run_ablation` gave for all runs over subjects, then over seeds.

    Runs are compared at the slice thickness `slice_mm`. The result holds "factors": {factor: {level: {"run", score:
    {"mean", "sd", "values"}}}} over the seeds; "curves": {run: {mm: {"psnr", "psnr_spline", "dice"}}}; "not_run": runs
    without scores, absent from "factors". Scores: "psnr_gain" over the spline in dB, "dice" of the cortex, and over TE
    "te_cv", the cortical volume's coefficient of variation within a patient, "te_bias", its mean relative error, and
    "te_dice"; None where the cohort has no such data.
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
    echoes = scores[scores["part"] == "echoes"]
    wide = echoes.pivot(index=["subject", "condition"], columns="metric", values="value")
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
