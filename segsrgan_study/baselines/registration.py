"""Registration of the atlases to an image, computed once for each pair and kept.

Only the interpolated image is seen, never the high-resolution one. The deformation is found on a coarse grid around the
head, which suffices for patch-based fusion (its search window mends errors of 3 voxels), and applied to the atlas's
images and labels at full resolution. All methods share the entries of the cache, in this run and the next.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core import imaging
from segsrgan_core.atomic import atomic
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import resample_isotropic, spacing_mm
from segsrgan_study import boxes
from segsrgan_study.baselines.ants_worker import in_workers, to_ants
from segsrgan_study.baselines.case import OF_THE_MACHINE, Atlas, Case, MethodFailed
from segsrgan_study.params import RegistrationSettings
from segsrgan_study.paths import digest
from segsrgan_study.progress import tell

# The levels of the affine part, coarse to fine: antspyx's own.
SHRINK_FACTORS = (6, 4, 2, 1)
SMOOTHING_VOXELS = (3, 2, 1, 0)
MARGIN_MM = 6.0
# What it works with decides the result as well.
IMAGING = [*sorted(Path(imaging.__file__).parent.glob("*.py")), Path(boxes.__file__)]


@lru_cache(maxsize=1)  # the methods come one after the other with the same case; nobody changes the arrays
def warped_atlases(case: Case) -> dict[str, np.ndarray]:
    """Return the atlases of a case on the grid of its image; pairs that are not kept are computed.

    "image" and "interpolated" are float32 (N, X, Y, Z), "labels" uint8. Errors as `Method.run` and `register_all`.
    """
    if not case.atlases:
        raise UserError("atlases: there is none; the cohort needs at least one training subject.")
    faults = register_all(missing_pairs(case))
    if faults:
        raise MethodFailed(f"registration failed: {'; '.join(faults)}")
    pairs = [_read(pair_path(case, atlas)) for atlas in case.atlases]
    return {name: np.stack([pair[name] for pair in pairs]) for name in pairs[0]}


def missing_pairs(case: Case) -> list[tuple]:
    """Return the arguments of `register` of each pair that is not in the cache."""
    paths = {pair_path(case, atlas): atlas for atlas in case.atlases}
    return [(case.image, atlas, case.registration, path) for path, atlas in paths.items() if _read(path) is None]


def register_all(pairs: Sequence[tuple]) -> list[str]:
    """Compute the pairs of `missing_pairs`, with all cores at work until the last one; returns why some failed.

    What is no fault of an atlas (OF_THE_MACHINE) is raised; the pairs that were ready before are kept.
    """
    faults = []
    for done, fault in enumerate(in_workers(_try_to_register, pairs), start=1):
        faults += fault
        tell(f"registration {done}/{len(pairs)}")
    return sorted(faults)


def _try_to_register(image: Nifti1Image, atlas: Atlas, settings: RegistrationSettings, path: Path) -> list[str]:
    try:
        register(image, atlas, settings, path)
    except OF_THE_MACHINE:
        raise
    except Exception as error:  # ITK raises many kinds; one pair that fails does not stop the others
        return [f"{atlas.subject}: {' '.join(str(error).split())[-300:]}"]
    return []


def pair_path(case: Case, atlas: Atlas) -> Path:
    """Return the file of a warped atlas, named by all that it depends on: images, settings, antspyx and code."""
    facts = [case.content, atlas.content, case.registration.model_dump(), version("antspyx")]
    return case.cache / f"{digest([json.dumps(facts), Path(__file__), *IMAGING])[:32]}.npz"


def register(image: Nifti1Image, atlas: Atlas, settings: RegistrationSettings, path: Path) -> None:
    """Register an atlas to an image (affine, then SyN, Mattes mutual information) and write the warped pair.

    Runs in a worker process. The `.npz` holds "image", "interpolated" and "labels" (X, Y, Z).
    """
    import ants

    coarse_mm, levels = settings.spacing_mm or float(spacing_mm(image).min()), len(settings.affine)
    options = {"aff_random_sampling_rate": settings.sampling, "aff_iterations": settings.affine}
    options |= {"aff_shrink_factors": SHRINK_FACTORS[-levels:], "aff_smoothing_sigmas": SMOOTHING_VOXELS[-levels:]}
    coarse = [resample_isotropic(one, coarse_mm) for one in (image, atlas.image)]
    margin = int(np.ceil(MARGIN_MM / coarse_mm))
    heads = (to_ants(boxes.crop(one, boxes.head_box(np.asarray(one.dataobj), margin))) for one in coarse)
    found = ants.registration(*heads, "SyN", reg_iterations=settings.syn, **options)
    grid, transforms = to_ants(image), found["fwdtransforms"]

    def warp(moving: Nifti1Image, interpolator: str = "linear") -> np.ndarray:
        return ants.apply_transforms(grid, to_ants(moving), transforms, interpolator=interpolator).numpy()

    labels = np.round(warp(atlas.labels, "nearestNeighbor")).astype(np.uint8)
    arrays = {"image": warp(atlas.image), "interpolated": warp(atlas.interpolated), "labels": labels}
    atomic(path, lambda part: np.savez(part, **arrays))  # compressed, noisy images are hardly smaller, and slow


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of an entry; None where there is none, or a damaged one, which is computed again."""
    with suppress(Exception), np.load(path) as arrays:  # numpy, zipfile and zlib each have their own
        return dict(arrays)
    return None
