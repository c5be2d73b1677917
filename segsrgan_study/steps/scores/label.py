"""Stage `baselines`: the methods to compare with on every test image, with training subjects as their atlases.

All get the same interpolated image, and see nothing else of a test subject but its age. Registrations and labels are
kept in `.work/`: an interrupted run goes on where it was, and other parameters of one method compute that one alone.
Much of a method runs on one core, so that as many images as there are cores take less time than one after the other.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_json
from segsrgan_study.baselines.case import OF_THE_MACHINE, nearest_in_age
from segsrgan_study.baselines.methods import Atlas, Case, Method, chosen_methods
from segsrgan_study.baselines.registration import missing_pairs, register_all
from segsrgan_study.baselines.run import run
from segsrgan_study.cost import Cost, metered, note_costs
from segsrgan_study.files import load_image, load_labels, save_image, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.pool import map_cases, place, results
from segsrgan_study.progress import Progress, tell
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.scores.labelled import labels_path, methods_path, runs_path

RESOURCES = {"memory_gib": 2.5, "cores_each": 1}  # that one image and its methods need


def label_all(study: Study, settings: Settings) -> pd.DataFrame:
    """Label every test image by every method of the settings; write label maps, outcomes and what was run.

    Returns:
        One row a case and method: subject, method, outcome ("labelled", "failed: why", "not run: why").

    Raises:
        UserError: the settings name a method or a parameter that there is not, or an image is not done, since a process
            was killed or a file could not be read or written; the others are, and what is done is kept.
    """
    options = settings.baselines
    methods = chosen_methods(options.methods, options.parameters)
    names = [test.name for test in prepared_cases(study, "test")]
    here = place(settings.workers, len(names), **RESOURCES)[0] == "here"
    if here and any(method.needs_atlases for method in methods):  # elsewhere each case registers its own
        _register(study, baseline_cases(study, settings).values())
    label = partial(label_case, study, settings)
    outcomes = map_cases(label, names, "labelled", settings.workers, **RESOURCES)
    rows, costs = [], {method.title: {} for method in methods}
    for name, found in zip(names, results(outcomes, "images"), strict=True):
        for method in methods:
            text, cost = found[method.name]
            rows.append({"subject": name, "method": method.name, "outcome": text})
            if cost:
                costs[method.title][name] = cost
    note_costs(study.costs, "baselines", costs)
    runs = pd.DataFrame(rows, columns=["subject", "method", "outcome"])
    write_csv(runs_path(study), runs)
    write_json(methods_path(study), {method.name: _facts(method, study, settings) for method in methods})
    return runs


def label_case(study: Study, settings: Settings, name: str) -> dict[str, tuple[str, Cost | None]]:
    """Label one test image by every method, needing nothing but the files of the study, in any process.

    Returns:
        By method, its outcome in words and what it took; see `baselines.run.Outcome`.

    Raises:
        OF_THE_MACHINE: see `baselines.run.run`; the other methods are done and kept.
    """
    options, found, fault = settings.baselines, {}, None
    case = baseline_cases(study, settings, [name])[name]
    for method in chosen_methods(options.methods, options.parameters):
        try:
            outcome = run(method, _telling(case, f"{name}, {method.title}"), study.scratch / "labels")
        except OF_THE_MACHINE as error:
            fault = error
            continue
        if outcome.labels:
            save_image(outcome.labels, labels_path(study, name, method.name))
        tell(f"{name}, {method.title}: {outcome.text}")
        found[method.name] = outcome.text, outcome.cost
    if fault:
        raise fault
    return found


def baseline_cases(study: Study, settings: Settings, names: Iterable[str] | None = None) -> dict[str, Case]:
    """Return test images, as all methods get them, by the names of their cases; all if none are named."""
    return {
        test.name: Case(
            image=load_image(test.interpolated),
            atlases=tuple(read_atlas(subject, "background" in settings.model.classes) for subject in near),
            cache=study.scratch / "registrations",
            age_weeks=test.age_weeks,
            registration=settings.baselines.registration,
        )
        for test, near in _with_atlases(study, settings)
        if names is None or test.name in names
    }


def _with_atlases(study: Study, settings: Settings) -> Iterator[tuple[PreparedCase, list[PreparedCase]]]:
    train = prepared_cases(study, "train")
    for test in prepared_cases(study, "test"):
        yield test, nearest_in_age(train, test.age_weeks, settings.baselines.atlases)


@lru_cache(maxsize=64)  # the test images share most of their atlases
def read_atlas(subject: PreparedCase, background: bool) -> Atlas:
    """Read a training subject with its labels and its interpolated image.

    Args:
        subject: the case.
        background: keep the label of what is outside the skull, for a study that segments it.
    """
    image, labels = load_image(subject.hr), load_labels(subject.labels)
    atlas = Atlas(subject.name, image, labels, load_image(subject.interpolated), subject.age_weeks)
    return atlas if background else atlas.within_skull()


def _register(study: Study, cases: Iterable[Case]) -> None:
    """Compute the registrations that are not in the cache, all with all cores; a fault shows where they are used."""
    pairs = missing_pairs(cases)
    if not pairs:
        return
    # What a fault leaves out is registered again with its image.
    with Progress("registered", len(pairs), unit="pair") as progress, metered() as cost, suppress(*OF_THE_MACHINE):
        register_all(pairs, lambda _, part: progress.reach(round(part * len(pairs))))
    note_costs(study.costs, "registration", {f"registration, {len(pairs)} pairs together": {"": cost}})


def _telling(case: Case, what: str) -> Case:
    return replace(case, progress=lambda step, part: tell(f"{what}: {step} {part:.0%}"))


def _facts(method: Method, study: Study, settings: Settings) -> dict[str, Any]:
    facts = {"title": method.title, "version": method.version(), "parameters": dict(method.parameters)}
    if not method.needs_atlases:
        return facts
    atlases = {test.name: [atlas.name for atlas in near] for test, near in _with_atlases(study, settings)}
    return facts | {"atlases": atlases, "registration": settings.baselines.registration.model_dump()}
