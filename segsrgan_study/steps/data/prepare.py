"""Stage 01: from a manifest to the study's cases, each with a thick-slice image."""

import shutil
from collections.abc import Sequence
from functools import partial
from operator import itemgetter

import pandas as pd

from segsrgan_core.atomic import PART
from segsrgan_core.errors import UserError
from segsrgan_study.cohorts.download import fetch_missing
from segsrgan_study.cohorts.labels import label_mapping
from segsrgan_study.cohorts.manifest import check_files, image_rows, read_manifest, write_manifest
from segsrgan_study.cohorts.schema import SPLITS, Row
from segsrgan_study.files import save_image, write_csv
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.phantoms.cohort import COHORT, PhantomCohort, write_cohort
from segsrgan_study.pool import map_cases, results
from segsrgan_study.steps.data.cases import CASES, PreparedCase, case_table
from segsrgan_study.steps.data.images import case_images, case_name, echo_images

# That one case needs. It takes a second or two: on a few cores, starting processes would cost more than they save.
RESOURCES = {"memory_gib": 1.5, "cores_each": 4}
ENDS = {"low": "desc-lr_T2w", "hr": "desc-hr_T2w", "interpolated": "desc-spline_T2w"}
ENDS |= {"labels": "desc-drawem9_dseg", "sides": "desc-hemispheres_dseg"}


def make_phantoms(study: Study, settings: Settings) -> pd.DataFrame:
    """Make the cohort `embedded` in `data/embedded` and write its manifest, which is returned."""
    config = PhantomCohort(**settings.embedded.model_dump(), simulation=settings.simulation, seed=settings.seed)
    # Made where no stage's outputs are, which DVC deletes before the stage runs: whole phantoms are not made again.
    made, target = study.phantoms, study.work / COHORT
    manifest = write_cohort(config, made, settings.workers)
    part = target.with_name(f"{PART}{COHORT}")
    of_old_code = [folder for folder in made.parent.iterdir() if folder != made]
    for old in (part, target, *of_old_code):
        shutil.rmtree(old, ignore_errors=True)
    for name in manifest["subject"].unique():
        shutil.copytree(made / COHORT / name, part / name)
    part.replace(target)
    write_manifest(manifest, study.manifest("embedded"))
    return manifest


def load_cohort(study: Study, cohort: str) -> pd.DataFrame:
    """Read and check the manifest of a cohort; fetch the files that are missing and may be fetched."""
    manifest = read_manifest(study.manifest(cohort))
    root = study.data_root(cohort)
    fetch_missing(manifest, root)
    check_files(manifest, root, label_mapping(cohort, study.manifests))
    return manifest


def prepare(
    study: Study, settings: Settings, manifest: pd.DataFrame, splits: Sequence[str] = SPLITS, keep: bool = False
) -> pd.DataFrame:
    """Write the images of all cases and the table of cases to `data/prepared`.

    Each split but `variability` must have images. A cohort without images at several echo times gets that one from its
    test cases, re-synthesised. With `keep`, high-resolution cases that are there are not made again: for a folder that
    belongs to these settings and images alone. The table of cases is returned, see `PreparedCase`; its paths are
    relative to `data/prepared`. A UserError tells that the cohort lacks a split, or that a file is at fault; the other
    cases are then prepared.
    """
    rows = {split: image_rows(manifest, split) for split in splits}
    for split, found in rows.items():
        if not found and split != "variability":
            raise UserError(f"{study.manifest(settings.cohort)}: there is no image of the split {split!r}; add some.")
    jobs = _with_stems([row for found in rows.values() for row in found])
    work = partial(_prepare_one, study, settings, keep, rows.get("variability") == [])
    stem_of = itemgetter(1)
    outcomes = map_cases(work, jobs, "prepared", settings.workers, **RESOURCES, name=stem_of)
    cases = [case for group in results(outcomes, "cases to prepare", stem_of) for case in group]
    table = case_table(sorted(cases, key=lambda case: SPLITS.index(case.split)), study.work / "prepared")
    write_csv(study.work / "prepared" / CASES, table)
    return table


def _with_stems(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Give each image a name of its own: case, echo time in `variability`, and a number from the second image on."""
    echo = [f"_acq-te{row.te_ms:g}" if row.split == "variability" else "" for row in rows]
    names = pd.Series([case_name(row) + te for row, te in zip(rows, echo, strict=True)], dtype=str)
    runs = names.groupby(names).cumcount()
    return [(row, f"{name}_run-{n + 1}" if n else name) for row, name, n in zip(rows, names, runs, strict=True)]


def _prepare_one(
    study: Study, settings: Settings, keep: bool, with_echoes: bool, job: tuple[Row, str]
) -> list[PreparedCase]:
    """Prepare one row and, with echoes, its re-synthesised images where it is a test case."""
    (row, stem), folder = job, study.work / "prepared"
    with_echoes = with_echoes and row.split == "test"
    name = case_name(row) if row.split == "variability" else stem
    case = PreparedCase(name, stem, row.split, te_ms=row.te_ms, age_weeks=row.age_weeks, cohort=settings.cohort)
    paths = {kind: folder / f"{stem}_{end}.nii.gz" for kind, end in ENDS.items()}
    if keep and not with_echoes and all(path.is_file() for path in paths.values()):
        return [case._replace(**paths)]
    images = case_images(study, settings, row, stem)
    made = [(case, images)]
    if with_echoes:
        resynthesised = case._replace(split="variability", resynthesised=True)
        for te, echo in echo_images(stem, images, settings).items():
            made.append((resynthesised._replace(stem=f"{stem}_acq-te{te:g}", te_ms=float(te)), echo))
    saved = []
    for case, images in made:
        files = {kind: save_image(image, folder / f"{case.stem}_{ENDS[kind]}.nii.gz") for kind, image in images.items()}
        saved.append(case._replace(**files))
    return saved
