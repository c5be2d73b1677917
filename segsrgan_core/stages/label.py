"""Stage `baselines`: the methods to compare with on every test image, with training subjects as their atlases.

All get the same interpolated image, and see nothing else of a test subject but its age. Registrations and labels are
kept in `.work/`: an interrupted run goes on where it was, and other parameters of one method compute that one alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.baselines.case import nearest_in_age
from segsrgan_core.baselines.methods import Atlas, Case, Method, chosen_methods
from segsrgan_core.baselines.registration import missing_pairs, register_all
from segsrgan_core.baselines.run import run
from segsrgan_core.classes import NUMBERS
from segsrgan_core.cost import metered, note_costs
from segsrgan_core.imaging.degrade import interpolate
from segsrgan_core.imaging.files import load_image, load_labels, save_image, write_csv, write_json
from segsrgan_core.params import Settings
from segsrgan_core.paths import Study
from segsrgan_core.progress import Progress
from segsrgan_core.stages.cases import PreparedCase, prepared_cases
from segsrgan_core.stages.labelled import labels_path, methods_path, runs_path


def label_all(study: Study, settings: Settings) -> pd.DataFrame:
    """Label every test image by every method of the settings; write label maps, outcomes and what was run.

    Returns:
        One row a case and method: subject, method, outcome ("labelled", "failed: why", "not run: why").

    Raises:
        UserError: the settings name a method or a parameter that there is not.
    """
    options = settings.baselines
    methods = chosen_methods(options.methods, options.parameters)
    cases = baseline_cases(study, settings)
    if any(method.needs_atlases for method in methods):
        _register(study, cases.values())
    rows, costs = [], {method.title: {} for method in methods}
    progress = Progress("labelled", len(cases) * len(methods), unit="label map")
    for name, case in cases.items():
        for method in methods:
            outcome = run(method, _telling(case, progress, f"{name}, {method.title}"), study.scratch / "labels")
            if outcome.labels:
                save_image(outcome.labels, labels_path(study, name, method.name))
                costs[method.title][name] = outcome.cost
            rows.append({"subject": name, "method": method.name, "outcome": outcome.text})
            progress.reach(len(rows), f"{name}, {method.title}: {outcome.text}")
    progress.close()
    note_costs(study.costs, "baselines", costs)
    runs = pd.DataFrame(rows, columns=["subject", "method", "outcome"])
    write_csv(runs_path(study), runs)
    write_json(methods_path(study), {method.name: _facts(method, settings, cases) for method in methods})
    return runs


def baseline_cases(study: Study, settings: Settings) -> dict[str, Case]:
    """Return every test image, as all methods get it, by the name of its case."""
    train = list(prepared_cases(study, "train"))
    read = lru_cache(maxsize=None)(lambda subject: read_atlas(subject, settings))
    cases = {}
    for test in prepared_cases(study, "test"):
        near = nearest_in_age(train, test.age_weeks, settings.baselines.atlases)
        cases[test.name] = Case(
            image=interpolated(test),
            atlases=tuple(read(subject) for subject in near),
            cache=study.scratch / "registrations",
            age_weeks=test.age_weeks,
            registration=settings.baselines.registration,
        )
    return cases


def read_atlas(subject: PreparedCase, settings: Settings) -> Atlas:
    """Read a training subject with its labels and its interpolated image.

    What is outside the skull counts as outside, unless the study segments it: the methods take less time.
    """
    labels = load_labels(subject.labels)
    array = np.asarray(labels.dataobj).astype(np.uint8)
    if "background" not in settings.model.classes:
        array[array == NUMBERS["background"]] = 0
    labels = Nifti1Image(array, labels.affine)
    return Atlas(subject.name, load_image(subject.image), labels, interpolated(subject), subject.age_weeks)


def interpolated(subject: PreparedCase) -> Nifti1Image:
    """Bring a subject's thick slices to the grid of its high-resolution image, of which no intensity is used."""
    return interpolate(load_image(subject.low), like=load_image(subject.image))


def _register(study: Study, cases: Iterable[Case]) -> None:
    """Compute the registrations that are not in the cache, all with all cores; a fault shows where they are used."""
    pairs = missing_pairs(cases)
    progress = Progress("registered", len(pairs), unit="pair")
    if pairs:
        with metered() as cost:
            register_all(pairs, lambda _, part: progress.reach(round(part * len(pairs))))
        note_costs(study.costs, "registration", {f"registration, {len(pairs)} pairs together": {"": cost}})
    progress.close()


def _telling(case: Case, progress: Progress, what: str) -> Case:
    return replace(case, progress=lambda step, part: progress.tell(f"{what}: {step} {part:.0%}"))


def _facts(method: Method, settings: Settings, cases: Mapping[str, Case]) -> dict[str, Any]:
    facts = {"title": method.title, "version": method.version(), "parameters": dict(method.parameters)}
    if not method.needs_atlases:
        return facts
    atlases = {name: [atlas.subject for atlas in case.atlases] for name, case in cases.items()}
    return facts | {"atlases": atlases, "registration": settings.baselines.registration.model_dump()}
