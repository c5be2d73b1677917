"""The plan of the ablations (`ablations/ablations.yaml`): short trainings that each change one thing."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from segsrgan_core.errors import UserError
from segsrgan_core.settings import Section
from segsrgan_study.params import Settings, read_params, read_yaml

Thickness = Annotated[float, Field(gt=0, le=10)]


class Ablations(Section):
    """The plan; `common` and the runs hold changes of the study's parameters, keys with dots."""

    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    test_cases: int = Field(ge=1)
    patients: int = Field(ge=1)
    thickness_mm: list[Thickness] = Field(min_length=1)
    common: dict[str, Any]
    runs: dict[str, dict[str, Any]] = Field(min_length=1)
    factors: dict[str, dict[str, str]]

    @model_validator(mode="after")
    def _known(self) -> "Ablations":
        unknown = {run for levels in self.factors.values() for run in levels.values()} - self.runs.keys()
        if unknown:
            raise ValueError(f"expected factors of the runs {sorted(self.runs)}, not of {sorted(unknown)}")
        return self


def read_ablations(path: str | Path) -> Ablations:
    """Read the plan.

    Raises:
        UserError: the file is missing, or a key or value is wrong.
    """
    try:
        return Ablations.model_validate(read_yaml(path))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise UserError(f"{path}: expected a plan of ablations; received {faults}; correct it.") from error


def settings_of(plan: Ablations, run: str, seed: int, params: str | Path) -> Settings:
    """Return the settings of one run.

    Args:
        plan: of the ablations.
        run: its name.
        seed: of weights, patches and the order of everything.
        params: the study's `params.yaml`.

    Raises:
        UserError: there is no such run, or it changes a key that is not there.
    """
    if run not in plan.runs:
        raise UserError(f"ablation: expected one of {', '.join(plan.runs)}; received {run!r}.")
    return read_params(params, changes={**plan.common, **plan.runs[run], "seed": seed})
