"""Stage 04: volumes of every patient at every echo time, and what they say."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from segsrgan_core.baselines.bet import intracranial_volume_ml
from segsrgan_core.classes import NUMBERS, SIDES
from segsrgan_core.cohorts.labels import to_drawem9
from segsrgan_core.cohorts.manifest import image_rows, locate, read_manifest
from segsrgan_core.cohorts.presets import label_mapping
from segsrgan_core.cohorts.schema import Row
from segsrgan_core.imaging.files import load_image, load_labels, save_image, write_csv, write_json
from segsrgan_core.imaging.geometry import voxel_volume_ml
from segsrgan_core.params import Settings
from segsrgan_core.paths import Study
from segsrgan_core.progress import track
from segsrgan_core.stages.cases import case_name
from segsrgan_core.stages.evaluate import trained_segmenter
from segsrgan_core.variability import analyse, talk_table

OUTSIDE_OF_SKULL = (0, NUMBERS["background"])


def measure(study: Study, settings: Settings) -> tuple[pd.DataFrame, dict]:
    """Segment every image of the split `variability` and analyse the volumes.

    Returns:
        The table of volumes, one row an image, and the analysis. Where the cohort has no such images, or the network
        does not segment the cortex, the table is empty and the analysis says `not_run` and why.
    """
    rows = image_rows(read_manifest(study.manifest(settings.cohort)), "variability")
    folder = study.results / "variability"
    columns = ["subject", "te_ms", "age_weeks", "cortex_ml", "icv_ml", "cortex_over_icv"]
    reason = "" if rows else f"the cohort {settings.cohort} has no patients with several echo times (split variability)"
    if "cortex" not in settings.model.classes:
        reason = f"the network segments {', '.join(settings.model.classes)}, and the analysis is of the cortex"
    if reason:
        volumes, metrics, table = pd.DataFrame(columns=columns), {"not_run": reason}, pd.DataFrame()
    else:
        volumes = _volumes(study, settings, rows)
        metrics = analyse(volumes, settings.seed, settings.variability.reference_te_ms)
        table = talk_table(volumes)
    write_csv(folder / "volumes.csv", volumes)
    write_csv(folder / "table.csv", table)
    write_json(folder / "metrics.json", {"cohort": settings.cohort, **metrics})
    return volumes, metrics


def _volumes(study: Study, settings: Settings, rows: list[Row]) -> pd.DataFrame:
    root = study.data_root(settings.cohort)
    segmenter = trained_segmenter(study, settings)
    threshold = settings.variability.bet_threshold
    records = []
    # BET runs beside the network; spawned, as TensorFlow's threads in this process do not survive a fork.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        paths = [locate(root, row.image) for row in rows]
        intracranial = [pool.submit(_intracranial_ml, path, threshold) for path in paths]
        for row, path, icv in zip(track(rows, "measured"), paths, intracranial, strict=True):
            result = segmenter(load_image(path))
            name = f"{case_name(row.subject, row.session)}_acq-te{row.te_ms:g}_desc-segsrgan"
            save_image(result.image, study.work / "measured" / f"{name}_T2w.nii.gz")
            save_image(result.labels, study.work / "measured" / f"{name}_dseg.nii.gz")
            record = {"subject": case_name(row.subject, row.session), "te_ms": row.te_ms, "age_weeks": row.age_weeks}
            record |= {"cortex_ml": result.volumes_ml["cortex"], "icv_ml": icv.result()}
            if result.sides is not None:
                record |= {f"cortex_{side}_ml": result.volumes_ml[f"{side}_cortex"] for side in SIDES}
                record |= {"icv_mask_ml": result.volumes_ml["intracranial"]}
            records.append(record | _true_volumes(study, settings, row))
    volumes = pd.DataFrame(records)
    volumes.insert(5, "cortex_over_icv", volumes["cortex_ml"] / volumes["icv_ml"])
    if "icv_mask_ml" in volumes:
        volumes.insert(6, "cortex_over_icv_mask", volumes["cortex_ml"] / volumes["icv_mask_ml"])
    return volumes


def _intracranial_ml(path: Path, threshold: float) -> float:
    return intracranial_volume_ml(load_image(path), threshold)


def _true_volumes(study: Study, settings: Settings, row: Row) -> dict[str, float]:
    if not row.labels:
        return {}
    source = load_labels(locate(study.data_root(settings.cohort), row.labels))
    labels = to_drawem9(np.asarray(source.dataobj), label_mapping(settings.cohort, study.manifests), row.labels)
    volume = voxel_volume_ml(source)
    inside = ~np.isin(labels, OUTSIDE_OF_SKULL)
    return {
        "cortex_true_ml": volume * float((labels == NUMBERS["cortex"]).sum()),
        "icv_true_ml": volume * float(inside.sum()),
    }
