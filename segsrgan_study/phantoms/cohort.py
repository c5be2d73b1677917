"""The `embedded` cohort: phantoms made on this machine from the ICBM152 maps that nilearn carries.

Term phantoms are isotropic images with their labels. Patients imitate Epirmex: one anatomy acquired at several echo
times in thick slices, with the true labels at high resolution beside them. They are always called phantoms.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.noise import add_rician
from segsrgan_core.simulation import Simulation
from segsrgan_study.cohorts.schema import COLUMNS
from segsrgan_study.files import save_image, sha256
from segsrgan_study.phantoms.anatomy import load_anatomy
from segsrgan_study.phantoms.image import RELAXATION, Body, draw_relaxation
from segsrgan_study.phantoms.physics import TE_MS
from segsrgan_study.phantoms.shape import draw_traits, draw_warp, place
from segsrgan_study.pool import map_cases, results

COHORT = "embedded"
RECORD = "phantom.json"
VERSION = 3  # raise it when the same settings give other images


@dataclass(frozen=True)
class PhantomCohort:
    """The cohort's settings."""

    n_train: int  # term phantoms for training; those for validation and testing follow them
    n_val: int
    n_test: int
    n_patients: int  # patients with one image an echo time
    spacing_mm: float  # voxel size of the high-resolution images
    thickness_sd: float  # standard deviation of the logarithm of the cortex's mean thickness
    simulation: Simulation  # acquisition of the patients' images; their noise is `patient_noise`
    seed: int  # each subject draws from the seed, its part and its index alone
    te_ms: tuple[float, ...] = TE_MS  # of the patients
    term_te_ms: float = 156.0  # of the term phantoms (dHCP's)
    tr_ms: float = 12000.0  # repetition time of all images (dHCP's)
    term_age_weeks: tuple[float, float] = (37.0, 44.0)  # youngest and oldest
    patient_age_weeks: tuple[float, float] = (37.0, 42.0)  # born preterm, imaged around term-equivalent age
    term_size_sd: float = 0.06  # standard deviation of the logarithm of the brain's volume at a given age
    patient_size_sd: float = 0.10
    warp_mm: float = 1.3  # standard deviation of the warp's velocity
    term_noise: float = 8.0  # in image units (CSF is near 900)
    patient_noise: float = 12.0  # of the thick slices, the same at every echo time

    def __post_init__(self):
        if self.spacing_mm > self.simulation.slice_mm:
            fault = f"{self.spacing_mm:g} mm is above simulation.slice_mm ({self.simulation.slice_mm:g} mm)"
            raise UserError(f"params.yaml: embedded.spacing_mm: {fault}; choose finer voxels or thicker slices.")


def make_subject(
    config: PhantomCohort, index: int, patient: bool = False
) -> tuple[float, dict[float, dict[str, Nifti1Image]]]:
    """Make one phantom in memory, by its number (from 0) among term phantoms or patients; UserError where it folds.

    Returned are its postmenstrual age in weeks, and by echo time in ms the images, named as the columns of the
    manifest. `image`: int16 (X, Y, Z), CSF near 900; thick slices for a patient. `hr`: the high-resolution image
    without noise, int16. `labels` and `sides`: as of `Body`. `mask`: uint8, 1 for all that the skull contains.
    """
    rng, anatomy = np.random.default_rng([config.seed, int(patient), index]), load_anatomy()
    ages = config.patient_age_weeks if patient else config.term_age_weeks
    size_sd = config.patient_size_sd if patient else config.term_size_sd
    traits = draw_traits(index, ages, size_sd, config.thickness_sd, anatomy.tissue_ml, rng)
    affine, points_mm = place(anatomy, traits, draw_warp(config.warp_mm, rng), config.spacing_mm)
    body = Body(anatomy, traits, points_mm, config.spacing_mm, rng)
    maps = {"labels": body.labels, "mask": (body.hemispheres > 0).astype(np.uint8), "sides": body.hemispheres}
    shared = {column: Nifti1Image(array, affine) for column, array in maps.items()}
    relaxation = draw_relaxation(rng, RELAXATION) if patient else RELAXATION
    images = {}
    for te in config.te_ms if patient else (config.term_te_ms,):
        truth = Nifti1Image(body.signal(te, config.tr_ms, relaxation), affine)
        if patient:
            image = config.simulation.acquire(truth, rng, config.patient_noise)
        else:
            image = Nifti1Image(add_rician(np.asarray(truth.dataobj), config.term_noise, rng), affine)
        images[te] = {"image": _rounded(image), "hr": _rounded(truth), **shared}
    return traits.age_weeks, images


def _rounded(image: Nifti1Image) -> Nifti1Image:
    return Nifti1Image(np.rint(image.dataobj).astype(np.int16), image.affine)


def write_cohort(config: PhantomCohort, data_root: Path, workers: str = "auto") -> pd.DataFrame:
    """Make the cohort's files in the data root's folder `embedded`; complete subjects of the same settings are kept.

    Returns the manifest's rows, one per image; UserError where a subject could not be made, when all others are.
    """
    splits = ["train"] * config.n_train + ["val"] * config.n_val + ["test"] * config.n_test
    jobs = {f"sub-{i + 1:02d}": (i, split) for i, split in enumerate(splits)}
    jobs |= {f"sub-p{i + 1:02d}": (i, "variability") for i in range(config.n_patients)}
    recipes = {name: _recipe(config, index, split == "variability") for name, (index, split) in jobs.items()}
    folder = Path(data_root, COHORT)
    missing = [(name, *jobs[name]) for name in jobs if not _is_complete(folder / name, recipes[name])]
    work, name_of = partial(_write, config, folder), itemgetter(0)
    results(map_cases(work, missing, "phantoms", workers, memory_gib=1.0, name=name_of), "phantoms", name_of)
    rows = [row | {"split": split} for name, (_, split) in jobs.items() for row in _record(folder / name)["rows"]]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _recipe(config: PhantomCohort, index: int, patient: bool) -> dict[str, Any]:
    """Return everything that a subject's files follow from, as JSON holds it."""
    shared = {k: v for k, v in asdict(config).items() if k not in ("n_train", "n_val", "n_test", "n_patients")}
    recipe = {**shared, "part": "te" if patient else "term", "index": index, "version": VERSION}
    return json.loads(json.dumps(recipe, default=Simulation.model_dump))


def _record(folder: Path) -> dict[str, Any]:
    """Read what a subject was made from, the checksums of its files and its rows of the manifest."""
    return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def _is_complete(folder: Path, recipe: dict[str, Any]) -> bool:
    try:
        record = _record(folder)
        return record["recipe"] == recipe and all(sha256(folder / f) == d for f, d in record["files"].items())
    except (OSError, ValueError, KeyError):
        return False


def _write(config: PhantomCohort, cohort: Path, job: tuple[str, int, str]) -> None:
    """Make the files of one subject, the record last."""
    (name, index, split), patient = job, job[2] == "variability"
    age_weeks, images = make_subject(config, index, patient)
    folder, rows, digests = cohort / name, [], {}
    (folder / RECORD).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    for te, by_column in images.items():
        echo = f"_acq-te{te:g}" if patient else ""
        ends = {"image": f"{echo}_T2w", "labels": "_desc-drawem9_dseg", "mask": "_desc-brain_mask"}
        ends |= {"hr": f"{echo}_desc-hr_T2w"} if patient else {}
        ends |= {"sides": "_desc-hemispheres_dseg"}
        files = {column: f"anat/{name}{end}.nii.gz" for column, end in ends.items()}
        for column, file in files.items():
            digests[file] = digests.get(file) or sha256(save_image(by_column[column], folder / file))
        row = dict.fromkeys(COLUMNS, "") | {column: f"{COHORT}/{name}/{file}" for column, file in files.items()}
        row |= {"cohort": COHORT, "subject": name, "split": split, "site": "phantom"}
        row |= {"te_ms": float(te), "tr_ms": config.tr_ms, "age_weeks": age_weeks}
        rows.append(row | {"sha256": ";".join(digests[file] for file in files.values())})
    write_json(folder / RECORD, {"files": digests, "recipe": _recipe(config, index, patient), "rows": rows})
