"""`params.yaml` and the plan of the ablations as typed settings; an unknown key is an error. Their only reader."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from segsrgan_core.errors import UserError
from segsrgan_core.settings import ModelSettings, Section, TrainingSettings
from segsrgan_core.simulation import Simulation
from segsrgan_study.paths import find_study

S = TypeVar("S", bound=Section)
WORKERS = r"(auto)|(slurm:)?([1-9]\d{0,3})"  # the words of `workers`, see pool.py


class EmbeddedSettings(Section):
    """Size of the `embedded` cohort of phantoms."""

    n_train: int = Field(ge=1)
    n_val: int = Field(ge=1)
    n_test: int = Field(ge=1)
    n_patients: int = Field(ge=2)
    spacing_mm: float = Field(ge=0.3, le=4)
    thickness_sd: float = Field(ge=0, le=0.3)


class RegistrationSettings(Section):
    """Registration of an atlas to an image: affine, then SyN, both with Mattes mutual information."""

    spacing_mm: float | None = Field(ge=0.2, le=6)
    sampling: float = Field(gt=0, le=1)
    affine: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, max_length=4)
    syn: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, max_length=4)


class BaselineSettings(Section):
    """The methods to compare with; names and parameters are checked where the methods are known."""

    methods: list[str]
    atlases: int | None = Field(ge=1)
    registration: RegistrationSettings
    parameters: dict[str, dict[str, bool | int | float | str | list[float]]]


class VariabilitySettings(Section):
    """The analysis over TE."""

    bet_program: Literal["brainextractor", "fsl"]
    bet_threshold: float = Field(gt=0, lt=1)
    reference_te_ms: int = Field(ge=1)


class InferenceSettings(Section):
    """Windows over a whole image."""

    window: int = Field(ge=16, le=512, multiple_of=16)
    step: int = Field(ge=1)
    validation_step: int = Field(ge=1)
    flips: list[Literal["x", "y", "z"]]
    calibration_cases: int = Field(ge=1)


class Settings(Section):
    """Everything a person may change."""

    cohort: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")  # it names files
    setting: str
    seed: int = Field(ge=0)
    # See pool.py. It changes no result, and so it is no part of what identifies one.
    workers: str = Field("auto", pattern=f"^({WORKERS})$", coerce_numbers_to_str=True, exclude=True)
    embedded: EmbeddedSettings
    simulation: Simulation
    model: ModelSettings
    training: TrainingSettings
    inference: InferenceSettings
    baselines: BaselineSettings
    variability: VariabilitySettings

    @model_validator(mode="after")
    def _trained_for_the_slices(self) -> "Settings":
        slice_mm = self.simulation.slice_mm
        low, high = self.training.thickness_range_mm(slice_mm)
        if not low <= slice_mm <= high:
            said = f"the range {low:g} to {high:g} mm leaves out simulation.slice_mm, {slice_mm:g} mm"
            raise ValueError(f"training.thickness_mm: {said}, on which the network is validated and tested")
        return self


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


def read_params(
    path: str | Path, cohort: str | None = None, setting: str | None = None, changes: Mapping[str, Any] | None = None
) -> Settings:
    """Read the settings of the study (`params.yaml`), with a cohort and a setting in place of the file's.

    The file's key `settings` holds named sets of changes; `setting` names the one that is applied. `changes` are
    applied last: section to changes of its keys, such as {"training": {"epochs": 2}}, or key to value. A UserError
    tells that the file is missing or not YAML, or which keys and values are wrong.
    """
    return parse_params(read_yaml(path) | _given(cohort=cohort, setting=setting), str(path), changes)


def read_plan(path: str | Path) -> Plan:
    """Read the plan of the ablations; a UserError where the file is missing, or a key or value is wrong."""
    return validated(Plan, read_yaml(path), str(path))


def notebook_settings(cohort: str = "", setting: str = "", seed: int | None = None, **sections: dict) -> Settings:
    """Return the settings of a notebook: those of the study's `params.yaml` with the changes of its parameters cell.

    "", None and {} change nothing; `sections` are changes such as `simulation={"slice_mm": 4.0}`, see `read_params`. A
    UserError where no study is found from the working directory, or a key or value is wrong in the file or the cell.
    """
    path = find_study().params
    read_params(path)  # a fault of the file itself is told as such
    content = read_yaml(path) | _given(cohort=cohort, setting=setting)
    return parse_params(content, "parameters of the notebook", _given(seed=seed) | sections)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ("", None)}


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML file of settings: keys and values, no key twice; else a UserError."""
    restore = f"restore it (git checkout {Path(path).name})"
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read ({error.strerror}); {restore}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: this is not YAML in UTF-8 ({' '.join(str(error).split())}); correct it.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: the file holds {type(content).__name__} in place of keys and values; {restore}.")
    return content


class _Loader(yaml.SafeLoader):
    """Builds plain values only; a key that stands twice is an error, where YAML would let the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [key.value for key, _ in node.value]
        for place, (key, _) in enumerate(node.value):
            if key.value in keys[:place]:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice")
        return super().construct_mapping(node, deep)


def parse_params(content: dict[str, Any], source: str = "params", more: Mapping[str, Any] | None = None) -> Settings:
    """Apply the named setting, then `more`, and check every key and value; see `read_params`."""
    base = dict(content)
    variants, name = base.pop("settings", None) or {}, base.get("setting")
    if not isinstance(variants, dict):
        raise UserError(f"{source}: settings: {variants!r} is not a mapping of names to sets of changes; correct it.")
    if name not in list(variants):
        known = ", ".join(map(str, variants))
        raise UserError(f"{source}: setting: {name!r} is not one of {known}{_hint(name, variants)}; correct it.")
    changes = variants[name] or {}
    if not isinstance(changes, dict):
        raise UserError(f"{source}: settings.{name}: {changes!r} is not keys and values; correct it.")
    return validated(Settings, merged(base, changes, more or {}), source)


def validated(kind: type[S], content: Any, source: str) -> S:
    """Return a file's content as settings of a kind; a UserError names all faults and the source in one sentence."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(_sentence(kind, fault) for fault in error.errors())
        raise UserError(f"{source}: {faults}; correct it.") from error


def merged(base: Mapping[str, Any], *changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with changes, one after the other; of a section, only the keys that a change names."""
    result = dict(base)
    for key, value in (item for change in changes for item in change.items()):
        sections = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if sections else value
    return result


def _sentence(kind: type[Section], fault: dict) -> str:
    """Return what is wrong with a key: a clause that begins with the key's name."""
    place = [str(part) for part in fault["loc"]]
    name = ".".join(place)
    if fault["type"] == "missing":
        return f"{name}: a value is missing"
    if fault["type"] == "extra_forbidden":
        section = kind
        for part in place[:-1]:
            section = section.model_fields[part].annotation
        known = list(section.model_fields)
        return f"{name}: unknown key{_hint(place[-1], known)}, known are {', '.join(known)}"
    message = re.sub("^(Value error, |Input )", "", fault["msg"])
    if fault["type"] != "value_error":
        message += f", received {fault['input']!r}"
    return f"{name}: {message}" if name else message  # a rule over several sections names them itself


def _hint(word: Any, known: Iterable) -> str:
    close = difflib.get_close_matches(str(word), [str(k) for k in known], n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
