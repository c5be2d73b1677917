"""Stage 05: every figure of the paper, and the report."""

import json
from pathlib import Path

import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.classes import NUMBERS
from segsrgan_study.cohorts.manifest import read_manifest
from segsrgan_study.figures import (
    ablations,
    anisotropic,
    assumptions,
    before_after,
    bland_altman,
    calibration,
    learning,
    methods,
    networks,
    simulation,
    te_effect,
    te_overlay,
    variability_table,
)
from segsrgan_study.figures.panels import mask_of
from segsrgan_study.figures.style import MissingResult, draw_and_save
from segsrgan_study.files import load_labels
from segsrgan_study.params import Settings, read_params
from segsrgan_study.paths import Study
from segsrgan_study.report.page import build_report
from segsrgan_study.statistics.summary import method_titles
from segsrgan_study.steps.network.fit import build_trainer, generator_arguments
from segsrgan_study.steps.scores.evaluate import example
from segsrgan_study.steps.scores.reliability import volume_table

OVERLAID_TE_MS = (120, 280)
OVERLAID_PATIENTS = 4


def draw_figures(study: Study, settings: Settings) -> dict[str, str]:
    """Draw every figure that the present results allow.

    Returns:
        The figures that could not be drawn, name to reason; also written to `results/figures/missing.json`.
    """
    folder = study.results / "figures"
    missing: dict[str, str] = {}
    for module, draw in _figures(study, settings).items():
        draw_and_save(module.NAME, draw, folder, missing)
    write_json(folder / "missing.json", missing)
    return missing


def _figures(study: Study, settings: Settings) -> dict:
    results = study.results
    shown = example(study)
    return {
        anisotropic: lambda: anisotropic.draw(shown["low"]),
        simulation: lambda: simulation.draw(shown["truth"], shown["low"], shown["spline"]),
        networks: lambda: networks.draw(_layers(study, settings)),
        learning: lambda: learning.draw(_table(results / "training" / "history.csv")),
        before_after: lambda: before_after.draw(
            shown["low"], shown["spline"], shown["sr"], shown["truth"], shown["labels"], shown["labels_truth"]
        ),
        calibration: lambda: calibration.draw(*_trust(results), shown["sr"], shown["labels"], shown["uncertainty"]),
        ablations: lambda: ablations.draw(_json(results / "ablations" / "metrics.json")),
        methods: lambda: methods.draw(
            _table(results / "evaluation" / "per_subject.csv"),
            method_titles(_json(results / "evaluation" / "metrics.json")),
        ),
        variability_table: lambda: variability_table.draw(
            _json(results / "variability" / "metrics.json"), with_talk=settings.cohort == "epirmex"
        ),
        te_effect: lambda: te_effect.draw(_table(results / "variability" / "volumes.csv")),
        te_overlay: lambda: te_overlay.draw(_overlaid(study), OVERLAID_TE_MS),
        bland_altman: lambda: bland_altman.draw(_table(results / "variability" / "volumes.csv")),
        assumptions: lambda: assumptions.draw(_table(results / "variability" / "volumes.csv")),
    }


def _trust(results: Path) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    folder = results / "evaluation"
    volumes = volume_table(_table(folder / "per_subject.csv"))
    return _table(folder / "calibration.csv"), volumes, _json(folder / "metrics.json")["standard_errors"]["cases"]


def _layers(study: Study, settings: Settings) -> dict[str, list[dict]]:
    """Build the study's networks, and the published generator where the study uses another, and list their layers."""
    from segsrgan_core.networks.critic import build_critic
    from segsrgan_core.networks.generators import build_generator

    trainer = build_trainer(settings)
    critic = trainer.critic or build_critic(trainer.generator.output_shape[-1], settings.model.critic_width)
    built = {"generator": trainer.generator, "critic": critic}
    published = read_params(study.params, settings.cohort, "paper")
    if settings.model.generator != published.model.generator:
        built["published generator"] = build_generator(**generator_arguments(published))
    return {title: networks.layer_summaries(model) for title, model in built.items()}


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype={"subject": str})
    except (OSError, pd.errors.EmptyDataError) as error:
        raise MissingResult(f"{path.name}: the table is not there or empty; run its stage first.") from error


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingResult(f"{path.name}: the file is not there; run its stage first.") from error


def _overlaid(study: Study) -> dict[str, tuple[Nifti1Image, Nifti1Image]]:
    """Return the cortex masks of the first patients at both echo times."""
    first, second = OVERLAID_TE_MS
    pairs = {}
    for path in sorted((study.work / "measured").glob(f"*_acq-te{first}_desc-segsrgan_dseg.nii.gz")):
        other = path.with_name(path.name.replace(f"acq-te{first}_", f"acq-te{second}_"))
        if other.is_file() and len(pairs) < OVERLAID_PATIENTS:
            pairs[path.name.partition("_acq-")[0]] = tuple(
                mask_of(load_labels(p), NUMBERS["cortex"]) for p in (path, other)
            )
    return pairs


def write_report(study: Study, settings: Settings) -> Path:
    """Write `results/report.html` and the LaTeX tables."""
    manifest = read_manifest(study.manifest(settings.cohort))
    return build_report(study.results, manifest, settings.model_dump(mode="json"))
