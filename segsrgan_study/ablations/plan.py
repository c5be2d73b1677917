"""Plan of the ablations."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from segsrgan_core.errors import UserError
from segsrgan_core.settings import Section
from segsrgan_study.params import Settings, merged, read_params, read_yaml, validated


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
        if unknown := {run for levels in self.factors.values() for run in levels.values()} - self.runs.keys():
            raise ValueError(f"factors name {', '.join(sorted(unknown))}, which is not among the runs")
        return self

    def settings(self, run: str, seed: int, params: str | Path) -> Settings:
        """Return the settings of one run with a seed of weights and patches, from the study's `params.yaml`.

        A UserError where there is no such run, or it changes an unknown key.
        """
        if run not in self.runs:
            raise UserError(f"ablation: {run!r} is not one of {', '.join(self.runs)}; correct the name.")
        return read_params(params, changes=merged(self.common, self.runs[run], {"seed": seed}))


def read_plan(path: str | Path) -> Plan:
    """Read the plan of the ablations; a UserError where the file is missing, or a key or value is wrong."""
    return validated(Plan, read_yaml(path), str(path))
