"""Stage 04: volumes of every patient at every echo time, how good each segmentation is, and what they say."""

from typing import Any

import pandas as pd

from segsrgan_core.atomic import write_json
from segsrgan_core.segmenter import Segmenter
from segsrgan_study.bet.extraction import intracranial_volume_of_file_ml
from segsrgan_study.files import save_image, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.pool import processes
from segsrgan_study.progress import track
from segsrgan_study.statistics import analyse, talk_table
from segsrgan_study.statistics.reliability import cover_of_volumes
from segsrgan_study.steps.data.cases import PreparedCase, prepared_cases
from segsrgan_study.steps.scores.echo_scores import measure_one
from segsrgan_study.steps.scores.evaluate import trained_segmenter

COLUMNS = ["subject", "te_ms", "age_weeks", "cortex_ml", "icv_ml", "cortex_over_icv"]


def measure(study: Study, settings: Settings) -> tuple[pd.DataFrame, dict]:
    """Segment every image at several echo times and analyse the volumes.

    Returns:
        The table of volumes, one row an image, and the analysis. Where the cohort has no such images, or the network
        does not segment the cortex, the table is empty and the analysis says `not_run` and why.
    """
    cases = prepared_cases(study, "variability")
    folder = study.results / "variability"
    harmonised = pd.DataFrame()
    reason = "" if cases else f"the cohort {settings.cohort} has no images at several echo times (split variability)"
    if "cortex" not in settings.model.classes:
        reason = f"the network segments {', '.join(settings.model.classes)}, and the analysis is of the cortex"
    if reason:
        volumes, metrics, table = pd.DataFrame(columns=COLUMNS), {"not_run": reason}, pd.DataFrame()
    else:
        segmenter = trained_segmenter(study, settings)
        volumes = _volumes(study, settings, cases, segmenter)
        metrics = analyse(volumes, settings.seed, settings.variability.reference_te_ms)
        metrics["standard_errors"] = _standard_errors(volumes, segmenter.card.error_cases)
        metrics["resynthesised"] = any(case.resynthesised for case in cases)
        harmonised = _taken_out(metrics["harmonisation"])
        table = talk_table(volumes)
    write_csv(folder / "volumes.csv", volumes)
    write_csv(folder / "harmonised.csv", harmonised)
    write_csv(folder / "table.csv", table)
    write_json(folder / "metrics.json", {"cohort": settings.cohort, **metrics})
    return volumes, metrics


def _taken_out(harmonisation: dict[str, Any]) -> pd.DataFrame:
    """Move the corrected volumes out of the analysis, into a table of their own."""
    parts = [
        pd.DataFrame(entry.pop("volumes")).assign(measure=measure)
        for measure, entry in harmonisation.items()
        if "volumes" in entry
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _standard_errors(volumes: pd.DataFrame, cases: int) -> dict[str, Any]:
    """Tell at each TE how the cortical volume's standard errors did, where its true volume is known."""
    if "cortex_true_ml" not in volumes:
        return {"reason": "no true volume is known for this cohort"}
    names = {f"cortex_{key}": f"volume_{key}" for key in ("ml", "true_ml", "se_ml")}
    by_te = volumes.rename(columns=names).assign(structure=volumes["te_ms"].astype(int).astype(str))
    return {"cases": cases, "te_ms": cover_of_volumes(by_te, cases)}


def _volumes(study: Study, settings: Settings, cases: list[PreparedCase], segmenter: Segmenter) -> pd.DataFrame:
    threshold = settings.variability.bet_threshold
    records = []
    with processes(2) as pool:  # BET runs beside the network
        intracranial = [pool.submit(intracranial_volume_of_file_ml, case.low, threshold) for case in cases]
        for case, icv in zip(track(cases, "measured"), intracranial, strict=True):
            result, scores = measure_one(case, segmenter)
            name = f"{case.stem}_desc-segsrgan"
            save_image(result.image, study.work / "measured" / f"{name}_T2w.nii.gz")
            save_image(result.labels, study.work / "measured" / f"{name}_dseg.nii.gz")
            save_image(result.uncertainty, study.work / "measured" / f"{name}uncertainty_probseg.nii.gz")
            records.append({**scores, "icv_ml": icv.result()})
    volumes = pd.DataFrame(records)
    volumes["cortex_over_icv"] = volumes["cortex_ml"] / volumes["icv_ml"]
    if "icv_mask_ml" in volumes:
        volumes["cortex_over_icv_mask"] = volumes["cortex_ml"] / volumes["icv_mask_ml"]
    return volumes[[*COLUMNS, *(name for name in volumes if name not in COLUMNS)]]
