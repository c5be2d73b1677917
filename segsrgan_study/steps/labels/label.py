"""Stage `baselines`: the methods to compare with on every test image, with training subjects as their atlases.

All methods get the same interpolated image and nothing else of a test subject but its age. Registrations and labels are
kept in `.work/`: an interrupted run goes on where it was, and a changed parameter repeats its method alone. Much of a
method runs on one core, so several images at a time take less time than one after the other.
"""

import time
from contextlib import suppress
from functools import lru_cache, partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_json
from segsrgan_study.baselines.case import OF_THE_MACHINE, Atlas, Case, Method, nearest_in_age
from segsrgan_study.baselines.methods import chosen_methods, run
from segsrgan_study.baselines.registration import missing_pairs, register_all
from segsrgan_study.baselines.tune import tune
from segsrgan_study.cost import note_costs
from segsrgan_study.files import load_image, load_labels, save_image, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.pool import map_cases, results
from segsrgan_study.progress import tell
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.labels.labelled import files, labels_path


def label_all(study: Study, settings: Settings) -> pd.DataFrame:
    """Label every test image by every method of the settings; write label maps, outcomes and facts about the methods.

    One row per case and method is returned: subject, method, outcome ("labelled", "failed: why", "not run: why"). A
    UserError tells that the settings name an unknown method or parameter, or that an image is not done because a
    process was killed or a file could not be read or written; the other images are done and kept.
    """
    methods = chosen_methods(settings.baselines.methods, settings.baselines.parameters)
    tests = prepared_cases(study, "test")
    label = partial(label_case, study, settings)
    name = attrgetter("name")
    found = results(map_cases(label, tests, "labelled", settings.workers, memory_gib=2.5, name=name), "images", name)
    note_costs(study.costs, "baselines", [cost for _, of_case in found for cost in of_case])
    runs = pd.DataFrame([row for of_case, _ in found for row in of_case], columns=["subject", "method", "outcome"])
    runs_path, methods_path = files(study)
    write_csv(runs_path, runs)
    write_json(methods_path, {method.name: _facts(method, study, settings, tests) for method in methods})
    return runs


def label_case(
    study: Study, settings: Settings, test: PreparedCase
) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, float]]]:
    """Label one test image by every method, in any process, from the files of the study alone.

    Returned are case, method and outcome, for each method; and title, case and seconds, for the registrations unless
    they were kept, and for each method that labelled the image. A fault OF_THE_MACHINE is raised when the other
    methods are done and kept.
    """
    methods = chosen_methods(settings.baselines.methods, settings.baselines.parameters)
    rows, costs, fault, case = [], [], None, baseline_case(study, settings, test)
    pairs = missing_pairs(case) if any(method.needs_atlases for method in methods) else []
    if pairs:
        start = time.monotonic()
        with suppress(*OF_THE_MACHINE):  # a fault appears again where the registrations are used
            register_all(pairs)
        costs.append(("registration", test.name, time.monotonic() - start))
    for method in methods:
        tell(f"{test.name}, {method.title}")
        try:
            outcome, labels, seconds = run(method, case, study.scratch / "labels")
        except OF_THE_MACHINE as error:
            fault = error
            continue
        rows.append((test.name, method.name, outcome))
        if labels:
            save_image(labels, labels_path(study, test.name, method.name))
            costs.append((method.title, test.name, seconds))
    if fault:
        raise fault
    return rows, costs


def baseline_case(study: Study, settings: Settings, test: PreparedCase) -> Case:
    """Return a test image and its atlases as all methods get them."""
    background = "background" in settings.model.classes
    atlases = tuple(read_atlas(atlas, background) for atlas in _atlases(study, settings, test))
    cache, registration = study.scratch / "registrations", settings.baselines.registration
    return Case(load_image(test.interpolated), atlases, cache, registration, test.age_weeks)


def _atlases(study: Study, settings: Settings, test: PreparedCase) -> list[PreparedCase]:
    return nearest_in_age(prepared_cases(study, "train"), test.age_weeks, settings.baselines.atlases)


@lru_cache(maxsize=64)  # the test images share most of their atlases
def read_atlas(subject: PreparedCase, background: bool) -> Atlas:
    """Read a training subject as an atlas; `background` keeps the label of what is outside the skull."""
    image, labels = load_image(subject.hr), load_labels(subject.labels)
    atlas = Atlas(subject.name, image, labels, load_image(subject.interpolated), subject.age_weeks)
    return atlas if background else atlas.within_skull()


def _facts(method: Method, study: Study, settings: Settings, tests: list[PreparedCase]) -> dict[str, Any]:
    facts = {"title": method.title, "version": method.version(), "parameters": dict(method.parameters)}
    if not method.needs_atlases:
        return facts
    atlases = {test.name: [atlas.name for atlas in _atlases(study, settings, test)] for test in tests}
    return facts | {"atlases": atlases, "registration": settings.baselines.registration.model_dump()}


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
