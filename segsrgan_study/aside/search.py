"""Search of a baseline's parameters on training subjects, by hand: `segsrgan tune METHOD`."""

from pathlib import Path
from typing import Any

from segsrgan_study.baselines.methods import chosen_methods
from segsrgan_study.baselines.tune import tune
from segsrgan_study.files import write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.steps.data.cases import prepared_cases
from segsrgan_study.steps.labels.label import read_atlas


def search(study: Study, settings: Settings, name: str, n_targets: int | None = None) -> tuple[Path, dict[str, Any]]:
    """Search a method's parameters on training subjects, of which `n_targets`, or all, are labelled by the others.

    The path of the search's table, in `results/tuning/`, and the parameters chosen are returned; a UserError where
    there is no such method.
    """
    options = settings.baselines
    (method,) = chosen_methods([name], {name: options.parameters.get(name, {})})
    subjects = [read_atlas(case, "background" in settings.model.classes) for case in prepared_cases(study, "train")]
    cache, tissues = study.scratch / "registrations", settings.model.classes
    chosen, table = tune(method, subjects, cache, options.registration, tissues, n_targets, options.atlases)
    return write_csv(study.results / "tuning" / f"{settings.cohort}_{name}.csv", table), chosen
