"""The `embedded` cohort: phantoms made on this machine from the ICBM152 maps that nilearn carries.

Term phantoms are isotropic images with their labels. Patients imitate Epirmex: one anatomy acquired at several echo
times in thick slices, with the true labels at high resolution beside them. They are always called phantoms.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

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
from segsrgan_study.phantoms.echoes import TE_MS
from segsrgan_study.phantoms.image import RELAXATION, Body, draw_relaxation
from segsrgan_study.phantoms.shape import draw_traits, draw_warp, place
from segsrgan_study.pool import map_cases, results

COHORT = "embedded"
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
            raise UserError(
                f"params.yaml: embedded.spacing_mm: {self.spacing_mm:g} mm is above simulation.slice_mm "
                f"({self.simulation.slice_mm:g} mm); choose finer voxels or thicker slices."
            )


def make_subject(
    config: PhantomCohort, index: int, patient: bool = False
) -> tuple[float, dict[float, dict[str, Nifti1Image]]]:
    """Make one phantom in memory; a few seconds at 0.8 mm.

    Args:
        config: the cohort's settings; its numbers of subjects do not matter here.
        index: number among the term phantoms or among the patients, from 0.
        patient: whether it is one.

    Returns:
        Postmenstrual age in weeks, and by echo time in ms the images, named as the columns of the manifest. `image`:
        int16 (X, Y, Z), CSF near 900; thick slices for a patient. `hr`: the high-resolution image without noise,
        int16. `labels`: drawem9 numbers, 4 in the head outside of the skull's content, 0 in air. `mask`: 1 for
        all that the skull contains; `sides`: 1 there left, 2 right of the midline. These three are uint8.

    Raises:
        UserError: settings whose warp would fold.
    """
    rng = np.random.default_rng([config.seed, int(patient), index])
    anatomy = load_anatomy()
    ages = config.patient_age_weeks if patient else config.term_age_weeks
    size_sd = config.patient_size_sd if patient else config.term_size_sd
    traits = draw_traits(index, ages, size_sd, config.thickness_sd, anatomy.tissue_ml, rng)
    affine, points_mm = place(anatomy, traits, draw_warp(config.warp_mm, rng), config.spacing_mm)
    body = Body(anatomy, traits, points_mm, config.spacing_mm, rng)
    maps = {"labels": body.labels, "mask": (body.hemispheres > 0).astype(np.uint8), "sides": body.hemispheres}
    shared = {column: Nifti1Image(array, affine) for column, array in maps.items()}
    relaxation = draw_relaxation(rng) if patient else RELAXATION
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
    splits = ["train"] * config.n_train + ["val"] * config.n_val + ["test"] * config.n_test
    jobs = [_Job(config, index, split, Path(data_root)) for index, split in enumerate(splits)]
    jobs += [_Job(config, index, "variability", Path(data_root)) for index in range(config.n_patients)]
    missing = [job for job in jobs if not job.is_complete()]
    made = map_cases(_Job.write, missing, "phantoms", workers, memory_gib=1.0, name=attrgetter("name"))
    results(made, "phantoms", attrgetter("name"))
    return pd.DataFrame([row for job in jobs for row in job.rows()], columns=list(COLUMNS))


class _Job(NamedTuple):
    """One subject to make and to list."""

    config: PhantomCohort
    index: int  # in its part, from 0
    split: str
    data_root: Path

    @property
    def patient(self) -> bool:
        return self.split == "variability"

    @property
    def name(self) -> str:
        """`sub-01` for the first term phantom, `sub-p01` for the first patient."""
        return f"sub-{'p' if self.patient else ''}{self.index + 1:02d}"

    @property
    def record(self) -> Path:
        """What the subject was made from, and the checksums of its files."""
        return self.data_root / COHORT / self.name / f"{self.name}_phantom.json"

    def recipe(self) -> dict[str, Any]:
        """Return everything that a subject's files follow from, as JSON holds it."""
        part = {"part": "te" if self.patient else "term", "index": self.index, "version": VERSION}
        recipe = {k: v for k, v in asdict(self.config).items() if k not in ("n_train", "n_val", "n_test", "n_patients")}
        return json.loads(json.dumps({**recipe, **part}, default=Simulation.model_dump))

    def files(self, te_ms: float) -> dict[str, str]:
        """Return the files of one image by column of the manifest, in the order of its checksums."""
        echo = f"_acq-te{te_ms:g}" if self.patient else ""
        ends = {"image": f"{echo}_T2w", "labels": "_desc-drawem9_dseg", "mask": "_desc-brain_mask"}
        ends |= {"hr": f"{echo}_desc-hr_T2w", "sides": "_desc-hemispheres_dseg"}
        return {c: f"anat/{self.name}{end}.nii.gz" for c, end in ends.items() if c != "hr" or self.patient}

    def is_complete(self) -> bool:
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            files = record["files"].items()
            return record["recipe"] == self.recipe() and all(sha256(self.record.parent / f) == d for f, d in files)
        except (OSError, ValueError, KeyError):
            return False

    def write(self) -> None:
        age_weeks, images = make_subject(self.config, self.index, self.patient)
        folder = self.record.parent
        self.record.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        named = {file: images[te][column] for te in images for column, file in self.files(te).items()}
        digests = {file: sha256(save_image(image, folder / file)) for file, image in named.items()}
        write_json(self.record, {"age_weeks": age_weeks, "files": digests, "recipe": self.recipe()})

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the manifest."""
        record = json.loads(self.record.read_text(encoding="utf-8"))
        for te in self.config.te_ms if self.patient else (self.config.term_te_ms,):
            files = self.files(te)
            yield {
                **dict.fromkeys(COLUMNS, ""),
                **{column: f"{COHORT}/{self.name}/{file}" for column, file in files.items()},
                "cohort": COHORT,
                "subject": self.name,
                "split": self.split,
                "te_ms": float(te),
                "tr_ms": self.config.tr_ms,
                "age_weeks": record["age_weeks"],
                "site": "phantom",
                "sha256": ";".join(record["files"][file] for file in files.values()),
            }
