"""Stage 01: from a manifest to the study's cases, on the study's grid, with a simulated low-resolution image each."""

import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import PART
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import resample_isotropic, resample_labels, spacing_mm
from segsrgan_core.imaging.hemispheres import intracranial, split_hemispheres
from segsrgan_study.cluster import map_cases, results
from segsrgan_study.cohorts.download import fetch_missing
from segsrgan_study.cohorts.labels import to_drawem9
from segsrgan_study.cohorts.manifest import check_files, image_rows, locate, read_manifest, write_manifest
from segsrgan_study.cohorts.presets import label_mapping
from segsrgan_study.cohorts.schema import Row
from segsrgan_study.files import load_image, load_labels, save_image, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.phantoms.cohort import COHORT, PhantomCohort, write_cohort
from segsrgan_study.steps.data.cases import CASES, case_name

# That one case needs. It takes a second or two: on a few cores, starting processes would cost more than they save.
RESOURCES = {"memory_gib": 1.5, "cores_each": 4}


def make_phantoms(study: Study, settings: Settings) -> pd.DataFrame:
    """Make the cohort `embedded` in `data/embedded` and write its manifest."""
    config = PhantomCohort(**settings.embedded.model_dump(), simulation=settings.simulation, seed=settings.seed)
    # Made where no stage's outputs are, which DVC deletes before the stage runs: whole phantoms are not made again.
    bench = study.phantoms
    manifest = write_cohort(config, bench, settings.workers)
    _copy(manifest["subject"].unique(), bench / COHORT, study.work / COHORT)
    write_manifest(manifest, study.manifest("embedded"))
    return manifest


def _copy(names: Iterable[str], source: Path, target: Path) -> None:
    """Let a folder hold these subjects and nothing else, all at once; forget those that older code made."""
    part = target.with_name(f"{PART}{target.name}")
    for old in (part, target):
        shutil.rmtree(old, ignore_errors=True)
    for name in names:
        shutil.copytree(source / name, part / name)
    part.replace(target)
    for old in source.parent.parent.iterdir():
        if old != source.parent:
            shutil.rmtree(old)


def load_cohort(study: Study, settings: Settings) -> pd.DataFrame:
    """Read and check the manifest of the study's cohort; fetch the files that are missing and may be fetched."""
    manifest = read_manifest(study.manifest(settings.cohort))
    root = study.data_root(settings.cohort)
    fetch_missing(manifest, root)
    check_files(manifest, root, label_mapping(settings.cohort, study.manifests))
    return manifest


def prepare(
    study: Study,
    settings: Settings,
    manifest: pd.DataFrame,
    splits: Sequence[str] = ("train", "val", "test"),
    keep: bool = False,
) -> pd.DataFrame:
    """Write every training, validation and test case to `data/prepared`.

    Args:
        study: where.
        settings: of the simulation.
        manifest: of the cohort.
        splits: to prepare; each must have images.
        keep: cases that are there are not prepared again; for a folder that belongs to these settings and images alone.

    Returns:
        One row a case: name, split, age_weeks, image, labels, low, sides (paths relative to `data/prepared`).

    Raises:
        UserError: the cohort lacks a split, or a file is at fault; the other cases are then prepared.
    """
    rows = [row for split in splits for row in image_rows(manifest, split)]
    for split in splits:
        if not any(row.split == split for row in rows):
            raise UserError(
                f"{study.manifest(settings.cohort)}: expected images of the split {split!r}; received none."
            )
    work = partial(_prepare_one, study, settings, keep)
    outcomes = map_cases(work, rows, "prepared", settings.workers, **RESOURCES, name=_name)
    table = pd.DataFrame(results(outcomes, "cases to prepare", _name))
    write_csv(study.work / "prepared" / CASES, table)
    return table


def _name(row: Row) -> str:
    return case_name(row.subject, row.session)


def _prepare_one(study: Study, settings: Settings, keep: bool, row: Row) -> dict:
    name = _name(row)
    folder = study.work / "prepared"
    files = {
        "image": f"{name}_desc-hr_T2w.nii.gz",
        "labels": f"{name}_desc-drawem9_dseg.nii.gz",
        "low": f"{name}_desc-lr_T2w.nii.gz",
        "sides": f"{name}_desc-hemispheres_dseg.nii.gz",
    }
    if not (keep and all((folder / file).is_file() for file in files.values())):
        image, labels = load_truth(study, settings, row)
        low, sides = simulated(image, name, settings), hemispheres(study, settings, row, image, labels)
        for key, volume in {"image": image, "labels": labels, "low": low, "sides": sides}.items():
            save_image(volume, folder / files[key])
    return {"name": name, "split": row.split, "age_weeks": row.age_weeks, **files}


def load_truth(study: Study, settings: Settings, row: Row) -> tuple[Nifti1Image, Nifti1Image]:
    """Read one manifest row's image and labels in RAS+ order, drawem9 numbers, on the study's grid."""
    root = study.data_root(settings.cohort)
    image = nib.as_closest_canonical(load_image(locate(root, row.image)))
    numbers = nib.as_closest_canonical(load_labels(locate(root, row.labels)))
    mapping = label_mapping(settings.cohort, study.manifests)
    labels = Nifti1Image(to_drawem9(np.asarray(numbers.dataobj), mapping, row.labels), numbers.affine)
    target = settings.simulation.spacing_mm
    if target is None:
        _require_isotropic(image, row)
        return image, labels
    return resample_isotropic(image, target), resample_labels(labels, target)


def hemispheres(study: Study, settings: Settings, row: Row, image: Nifti1Image, labels: Nifti1Image) -> Nifti1Image:
    """Read the map `*_desc-hemispheres_dseg` beside a row's labels, or split the head along its plane of symmetry.

    Args:
        study: where.
        settings: of the study.
        row: of the manifest.
        image: on the study's grid, RAS+.
        labels: the same, drawem9 numbers.

    Returns:
        uint8, 1 left, 2 right, on the same grid.
    """
    path = locate(study.data_root(settings.cohort), row.labels)
    beside = path.with_name(path.name.replace("desc-drawem9", "desc-hemispheres"))
    if beside != path and beside.is_file():
        sides = nib.as_closest_canonical(load_labels(beside))
        if settings.simulation.spacing_mm is not None:
            sides = resample_labels(sides, settings.simulation.spacing_mm)
        return Nifti1Image(np.asarray(sides.dataobj).astype(np.uint8), image.affine)
    return Nifti1Image(split_hemispheres(image, intracranial(np.asarray(labels.dataobj))), image.affine)


def _require_isotropic(image: Nifti1Image, row: Row) -> None:
    spacing = spacing_mm(image)
    if np.ptp(spacing) > 0.02 * spacing.min():
        raise UserError(
            f"{row.image}: expected isotropic voxels; received {np.round(spacing, 3)} mm; "
            "set simulation.spacing_mm in params.yaml to resample the cohort."
        )


def simulated(image: Nifti1Image, name: str, settings: Settings) -> Nifti1Image:
    """Simulate a case's thick slices; its noise depends on its name, not on its place in the manifest."""
    return settings.simulation.acquire(image, np.random.default_rng([settings.seed, *name.encode()]))
