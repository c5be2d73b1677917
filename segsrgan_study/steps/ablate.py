"""Ablations: short trainings that each change one setting (`ablations/ablations.yaml`)."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, model_validator

from segsrgan_core.classes import NUMBERS
from segsrgan_core.errors import UserError
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.segmenter import Segmenter
from segsrgan_core.settings import Section
from segsrgan_core.simulation import Simulation
from segsrgan_study.files import load_image, load_labels, write_csv
from segsrgan_study.params import Settings, read_params, read_yaml
from segsrgan_study.paths import Study
from segsrgan_study.progress import track
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.network.fit import fit
from segsrgan_study.steps.scores.measure import measure_one

ECHO_SCORES = ("cortex_dice", "cortex_ml", "cortex_true_ml", "psnr")


class Plan(Section):
    """Plan of the ablations; `common` and `runs` hold changes of the study's parameters, with dotted keys."""

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
        """Return the settings of one run.

        Args:
            run: name of the run.
            seed: of weights and patches.
            params: the study's `params.yaml`.

        Raises:
            UserError: there is no such run, or it changes an unknown key.
        """
        if run not in self.runs:
            raise UserError(f"ablation: {run!r} is not one of {', '.join(self.runs)}; correct the name.")
        return read_params(params, changes={**self.common, **self.runs[run], "seed": seed})


def read_plan(path: str | Path) -> Plan:
    """Read the plan of the ablations.

    Raises:
        UserError: the file is missing, or a key or value is wrong.
    """
    try:
        return Plan.model_validate(read_yaml(path))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UserError(f"{path}: {faults}; correct it.") from error


def run_ablation(study: Study, run: str, seed: int) -> pd.DataFrame:
    """Train one network on the study's prepared cases, or continue its training, and score it.

    Args:
        study: with the prepared cases and the plan.
        run: name of the run.
        seed: of weights and patches.

    Returns:
        One row per score, also written to `results/ablations/runs/<run>-<seed>.csv`: run, seed, part ("thickness",
        "echoes"), condition (mm, ms), subject, metric, value.
    """
    plan = read_plan(study.ablations)
    settings = plan.settings(run, seed, study.params)
    segmenter = fit(study, settings).segmenter()
    rows = []
    for case in prepared_cases(study, "test")[: plan.test_cases]:
        for mm in plan.thickness_mm:
            scores = _scores(case, settings.simulation.with_thickness(mm), segmenter)
            rows += [("thickness", mm, case.name, *score) for score in scores.items()]
    echoes = prepared_cases(study, "variability")
    patients = list(dict.fromkeys(case.name for case in echoes))[: plan.patients]
    for case in track([case for case in echoes if case.name in patients], "measured"):
        _, found = measure_one(case, segmenter)
        rows += [("echoes", case.te_ms, case.name, name, found[name]) for name in ECHO_SCORES if name in found]
    rows = [(run, seed, *row) for row in rows]
    table = pd.DataFrame(rows, columns=["run", "seed", "part", "condition", "subject", "metric", "value"])
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
