"""The `embedded` cohort: phantoms made on this machine from the ICBM152 maps that nilearn carries.

Term phantoms are isotropic images with their labels. Patients imitate Epirmex: one anatomy acquired at several echo
times in thick slices, with the true labels at high resolution beside them. They are always called phantoms.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.atomic import write_json
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.noise import add_rician
from segsrgan_core.simulation import Simulation
from segsrgan_study.cohorts.schema import COLUMNS, Row
from segsrgan_study.files import save_image, sha256
from segsrgan_study.phantoms.anatomy import load_anatomy
from segsrgan_study.phantoms.image import RELAXATION, build_body, draw_relaxation, signal
from segsrgan_study.phantoms.shape import draw_traits, draw_warp, place
from segsrgan_study.pool import map_cases, results

COHORT = "embedded"
PARTS = ("term", "te")
VERSION = 3  # raise it when the same settings give other images
COUNTS = ("n_train", "n_val", "n_test", "n_patients")


@dataclass(frozen=True)
class PhantomCohort:
    """The cohort's settings.

    Attributes:
        n_train: term phantoms for training; `n_val` and `n_test` follow them.
        n_val: term phantoms for validation.
        n_test: term phantoms for testing.
        n_patients: patients with one image an echo time.
        spacing_mm: voxel size of the high-resolution images.
        simulation: acquisition of the patients' images; their noise is `patient_noise`.
        te_ms: the patients' echo times.
        term_te_ms: the term phantoms' echo time (dHCP's).
        tr_ms: repetition time of all images (dHCP's).
        term_age_weeks: youngest and oldest term phantom.
        patient_age_weeks: youngest and oldest patient; born preterm, imaged around term-equivalent age.
        term_size_sd: standard deviation of the logarithm of the brain's volume at a given age, term phantoms.
        patient_size_sd: the same, patients.
        thickness_sd: standard deviation of the logarithm of the cortex's mean thickness.
        warp_mm: standard deviation of the warp's velocity.
        term_noise: noise of the term phantoms' images, in image units (CSF is near 900).
        patient_noise: noise of the patients' thick slices, the same at every echo time.
        seed: each subject draws from the seed, its part and its index alone.
    """

    n_train: int
    n_val: int
    n_test: int
    n_patients: int
    spacing_mm: float
    thickness_sd: float
    simulation: Simulation
    seed: int
    te_ms: tuple[float, ...] = (120, 200, 280, 360)
    term_te_ms: float = 156.0
    tr_ms: float = 12000.0
    term_age_weeks: tuple[float, float] = (37.0, 44.0)
    patient_age_weeks: tuple[float, float] = (37.0, 42.0)
    term_size_sd: float = 0.06
    patient_size_sd: float = 0.10
    warp_mm: float = 1.3
    term_noise: float = 8.0
    patient_noise: float = 12.0

    def __post_init__(self):
        if self.spacing_mm > self.simulation.slice_mm:
            raise UserError(
                f"params.yaml: embedded.spacing_mm: {self.spacing_mm:g} mm is above simulation.slice_mm "
                f"({self.simulation.slice_mm:g} mm); choose finer voxels or thicker slices."
            )

    def members(self) -> Iterator[tuple[str, int, str]]:
        """Yield part, index in the part, and split of every subject."""
        splits = ["train"] * self.n_train + ["val"] * self.n_val + ["test"] * self.n_test
        yield from (("term", index, split) for index, split in enumerate(splits))
        yield from (("te", index, "variability") for index in range(self.n_patients))


@dataclass(frozen=True)
class Subject:
    """One phantom. All maps are uint8 on the high-resolution grid.

    Attributes:
        name: `sub-01` or, a patient, `sub-p01`.
        age_weeks: postmenstrual age at the scan.
        images: echo time in ms to image, int16 (X, Y, Z), CSF near 900; thick slices for a patient.
        truths: a patient's high-resolution images without noise, echo time in ms to int16 (X, Y, Z).
        labels: drawem9 numbers, 4 in the head outside of the skull's content, 0 in air.
        hemispheres: 1 left, 2 right of the midline, for all that the skull contains.
        mask: 1 for all that the skull contains.
    """

    name: str
    age_weeks: float
    images: dict[float, Nifti1Image]
    truths: dict[float, Nifti1Image]
    labels: Nifti1Image
    hemispheres: Nifti1Image
    mask: Nifti1Image


def subject_name(part: str, index: int) -> str:
    """Return `sub-01` for the first term phantom, `sub-p01` for the first patient."""
    return f"sub-{'p' if part == 'te' else ''}{index + 1:02d}"


def make_subject(config: PhantomCohort, part: str, index: int) -> Subject:
    """Make one phantom in memory; a few seconds at 0.8 mm.

    Args:
        config: the cohort's settings; its numbers of subjects do not matter here.
        part: "term" or "te".
        index: number in the part, from 0.

    Raises:
        UserError: settings whose warp would fold.
    """
    patient = part == "te"
    rng = np.random.default_rng([config.seed, PARTS.index(part), index])
    anatomy = load_anatomy()
    ages = config.patient_age_weeks if patient else config.term_age_weeks
    size_sd = config.patient_size_sd if patient else config.term_size_sd
    traits = draw_traits(index, ages, size_sd, config.thickness_sd, anatomy.tissue_ml, rng)
    affine, points_mm = place(anatomy, traits, draw_warp(config.warp_mm, rng), config.spacing_mm)
    body = build_body(anatomy, traits, points_mm, config.spacing_mm, rng)
    relaxation = draw_relaxation(rng) if patient else RELAXATION
    echoes = config.te_ms if patient else (config.term_te_ms,)
    signals = {te: Nifti1Image(signal(body, te, config.tr_ms, relaxation), affine) for te in echoes}
    return Subject(
        name=subject_name(part, index),
        age_weeks=traits.age_weeks,
        images={te: _scanned(config, patient, image, rng) for te, image in signals.items()},
        truths={te: _rounded(image) for te, image in signals.items()} if patient else {},
        labels=Nifti1Image(body.labels, affine),
        hemispheres=Nifti1Image(body.hemispheres, affine),
        mask=Nifti1Image((body.hemispheres > 0).astype(np.uint8), affine),
    )


def _scanned(config: PhantomCohort, patient: bool, image: Nifti1Image, rng: np.random.Generator) -> Nifti1Image:
    if patient:
        return _rounded(config.simulation.acquire(image, rng, config.patient_noise))
    return _rounded(Nifti1Image(add_rician(np.asarray(image.dataobj), config.term_noise, rng), image.affine))


def _rounded(image: Nifti1Image) -> Nifti1Image:
    return Nifti1Image(np.rint(image.dataobj).astype(np.int16), image.affine)


def write_cohort(config: PhantomCohort, data_root: Path, workers: str = "auto") -> pd.DataFrame:
    """Make the cohort's files; complete subjects of the same settings are kept.

    Args:
        config: the cohort's settings.
        data_root: the files go to its folder `embedded`.
        workers: where, see `cluster`.

    Returns:
        The manifest's rows, one per image, with the columns of `cohorts.schema`.

    Raises:
        UserError: settings whose warp would fold, or a subject could not be made; the others are.
    """
    jobs = [(config, part, index, Path(data_root)) for part, index, _ in config.members()]
    missing = [job for job in jobs if not _is_complete(*job)]
    made = map_cases(_write_subject, missing, "phantoms", workers, memory_gib=1.0, name=_job_name)
    results(made, "phantoms", _job_name)
    splits = [split for *_, split in config.members()]
    rows = [row for job, split in zip(jobs, splits, strict=True) for row in _rows(*job, split)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _recipe(config: PhantomCohort, part: str, index: int) -> dict[str, Any]:
    """Return everything that a subject's files follow from."""
    settings = {name: value for name, value in asdict(config).items() if name not in COUNTS}
    settings["simulation"] = config.simulation.model_dump()
    return json.loads(json.dumps({**settings, "part": part, "index": index, "version": VERSION}))


def _record_path(part: str, index: int, data_root: Path) -> Path:
    name = subject_name(part, index)
    return data_root / COHORT / name / f"{name}_phantom.json"


def _is_complete(config: PhantomCohort, part: str, index: int, data_root: Path) -> bool:
    path = _record_path(part, index, data_root)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        kept = record["recipe"] == _recipe(config, part, index)
        return kept and all(sha256(path.parent / name) == digest for name, digest in record["files"].items())
    except (OSError, ValueError, KeyError):
        return False


def _files(name: str, part: str, te_ms: float) -> dict[str, str]:
    """Return the files of one image by column of the manifest, in the order of its checksums."""
    echo = f"_acq-te{te_ms:g}" if part == "te" else ""
    ends = {"image": f"{echo}_T2w", "labels": "_desc-drawem9_dseg", "mask": "_desc-brain_mask"}
    ends |= {"hr": f"{echo}_desc-hr_T2w"} if part == "te" else {}
    ends["sides"] = "_desc-hemispheres_dseg"
    return {column: f"anat/{name}{end}.nii.gz" for column, end in ends.items()}


def _job_name(job: tuple[PhantomCohort, str, int, Path]) -> str:
    return subject_name(*job[1:3])


def _write_subject(job: tuple[PhantomCohort, str, int, Path]) -> None:
    config, part, index, data_root = job
    subject = make_subject(config, part, index)
    record = _record_path(part, index, data_root)
    record.unlink(missing_ok=True)
    shutil.rmtree(record.parent, ignore_errors=True)
    maps = {"labels": subject.labels, "mask": subject.mask, "sides": subject.hemispheres}
    files = {}
    for te, image in subject.images.items():
        volumes = {"image": image, "hr": subject.truths.get(te), **maps}
        files |= {name: volumes[column] for column, name in _files(subject.name, part, te).items()}
    digests = {name: sha256(save_image(image, record.parent / name)) for name, image in files.items()}
    recipe = _recipe(config, part, index)
    write_json(record, {"age_weeks": subject.age_weeks, "files": digests, "recipe": recipe})


def _rows(config: PhantomCohort, part: str, index: int, data_root: Path, split: str) -> Iterator[Row]:
    record = json.loads(_record_path(part, index, data_root).read_text(encoding="utf-8"))
    name = subject_name(part, index)
    for te in config.te_ms if part == "te" else (config.term_te_ms,):
        files = _files(name, part, te)
        yield Row(
            cohort=COHORT,
            subject=name,
            session="",
            split=split,
            **{"hr": "", **{column: f"{COHORT}/{name}/{file}" for column, file in files.items()}},
            te_ms=float(te),
            tr_ms=float(config.tr_ms),
            age_weeks=record["age_weeks"],
            site="phantom",
            sha256=";".join(record["files"][file] for file in files.values()),
        )
