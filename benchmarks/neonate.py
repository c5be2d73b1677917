"""IMAPA with its published settings on a whole neonate: a phantom in thick slices, the others as its atlases."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from nibabel.nifti1 import Nifti1Image

from benchmarks.size import Size
from benchmarks.timing import interleaved, spread
from segsrgan_core.imaging.degrade import interpolate, thick_slices
from segsrgan_study.baselines.case import Atlas, Case
from segsrgan_study.baselines.imapa import METHOD
from segsrgan_study.baselines.registration import warped_atlases
from segsrgan_study.phantoms.cohort import PhantomCohort, Subject, make_subject


def imapa_neonate(size: Size) -> dict:
    """Time IMAPA with histogram matching and both passes; the registrations are made before, and timed apart.

    Args:
        size: `neonate_mm` and `atlases` decide.

    Returns:
        `imapa_s` (median, lowest, highest round), `registration_s` of all atlases together, `voxels` of the image and
        how many `atlases`.
    """
    cohort = PhantomCohort(spacing_mm=size.neonate_mm)
    target, *others = (make_subject(cohort, "term", index) for index in range(1 + size.atlases))
    with TemporaryDirectory() as cache:
        case = Case(
            _interpolated(only_image(target), cohort),
            tuple(_atlas(one, cohort).within_skull() for one in others),
            Path(cache),
        )
        begun = time.perf_counter()
        warped_atlases(case)  # kept in memory from here on
        registration_s = time.perf_counter() - begun
        times = interleaved({"imapa": lambda: METHOD.run(case)}, size.rounds)["imapa"]
    return {
        "imapa_s": spread(times.clock),
        "registration_s": registration_s,
        "voxels": list(case.image.shape),
        "atlases": size.atlases,
    }


def only_image(subject: Subject) -> Nifti1Image:
    """Return a term phantom's one image, float32."""
    (image,) = subject.images.values()
    return Nifti1Image(np.asarray(image.dataobj, dtype=np.float32), image.affine)


def _interpolated(image: Nifti1Image, cohort: PhantomCohort) -> Nifti1Image:
    return interpolate(thick_slices(image, cohort.slice_mm), like=image)


def _atlas(subject: Subject, cohort: PhantomCohort) -> Atlas:
    image = only_image(subject)
    return Atlas(subject.name, image, subject.labels, _interpolated(image, cohort), subject.age_weeks)
