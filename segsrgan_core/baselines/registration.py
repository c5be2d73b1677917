"""Registration of the atlases to an image, computed once for each pair and kept.

Only the interpolated image is seen, never the high-resolution one. The deformation is found on a coarse grid around the
head and applied to the atlas's images and labels at full resolution. The cache's key is the content of all images and
the setting, so nothing stale is ever used, and every method that uses atlases shares the entries.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.baselines.ants_worker import in_workers, to_ants
from segsrgan_core.baselines.boxes import crop, head_box
from segsrgan_core.baselines.case import Atlas, Case
from segsrgan_core.errors import UserError
from segsrgan_core.imaging.atomic import atomic
from segsrgan_core.imaging.geometry import resample_isotropic, spacing_mm

# Coarse registration suffices for patch-based fusion, whose search window mends errors of 3 voxels.
_AFFINE = {"aff_iterations": (100, 50, 10), "aff_shrink_factors": (4, 2, 1), "aff_smoothing_sigmas": (2, 1, 0)}
SETTINGS: dict[str, Mapping[str, Any]] = {
    "miniature": {"spacing_mm": 3.0, "reg_iterations": (10,), **_AFFINE},
    "quick": {"spacing_mm": 2.0, "reg_iterations": (30, 15), **_AFFINE},
    "paper": {"spacing_mm": 0.0, "reg_iterations": (60, 40, 20)},  # 0: the image's own grid
}
MARGIN_MM = 6.0


@dataclass(frozen=True)
class Warped:
    """An atlas on the grid of the image to label: images float32 (X, Y, Z), `labels` uint8 (X, Y, Z)."""

    subject: str
    image: np.ndarray
    interpolated: np.ndarray
    labels: np.ndarray


def warped_atlases(case: Case, workers: int | None = None) -> list[Warped]:
    """Return the atlases of a case on the grid of its image, in their order.

    Args:
        case: image, atlases, cache and the name of the setting.
        workers: processes for the pairs that are not in the cache; by default one a core.

    Raises:
        UserError: an unknown setting.
    """
    if case.registration not in SETTINGS:
        raise UserError(f"registration: expected one of {sorted(SETTINGS)}; received {case.registration!r}.")
    setting = dict(SETTINGS[case.registration])
    paths = [Path(case.cache, f"{pair_key(case.image, atlas, setting)}.npz") for atlas in case.atlases]
    kept = [_read(path) for path in paths]
    missing = [number for number, pair in enumerate(kept) if pair is None]
    jobs = [(case.image, case.atlases[number], setting, paths[number]) for number in missing]
    for done, _ in enumerate(in_workers(register, jobs, workers), start=1):
        case.progress("registration", done / len(jobs))
    pairs = [pair or _read(path) for pair, path in zip(kept, paths, strict=True)]
    return [Warped(atlas.subject, **pair) for atlas, pair in zip(case.atlases, pairs, strict=True)]


def pair_key(image: Nifti1Image, atlas: Atlas, setting: Mapping[str, Any]) -> str:
    """Return a digest of all that a warped atlas depends on."""
    digest = hashlib.sha256(json.dumps([setting, version("antspyx")], sort_keys=True).encode())
    for part in (image, atlas.image, atlas.interpolated or atlas.image, atlas.labels):
        array = np.ascontiguousarray(part.dataobj)
        digest.update(f"{array.shape}{array.dtype}{np.round(part.affine, 6).tolist()}".encode())
        digest.update(array.data)
    return digest.hexdigest()[:32]


def register(image: Nifti1Image, atlas: Atlas, setting: Mapping[str, Any], path: Path) -> None:
    """Register one atlas (affine, then SyN, Mattes mutual information) and write the warped pair.

    Runs in a worker process (`ants_worker.in_workers`).

    Args:
        image: what to register to.
        atlas: what to deform.
        setting: an entry of `SETTINGS`.
        path: `.npz` to write: the arrays of `Warped`.
    """
    import ants

    options = dict(setting)
    coarse_mm = options.pop("spacing_mm") or float(spacing_mm(image).min())
    found = ants.registration(
        to_ants(around_head(image, coarse_mm)),
        to_ants(around_head(atlas.image, coarse_mm)),
        "SyN",
        aff_random_sampling_rate=0.25,
        **options,
    )
    grid, transforms = to_ants(image), found["fwdtransforms"]

    def warp(moving: Nifti1Image, interpolator: str = "linear") -> np.ndarray:
        return ants.apply_transforms(grid, to_ants(moving), transforms, interpolator=interpolator).numpy()

    high = warp(atlas.image)
    low = high if atlas.interpolated is None else warp(atlas.interpolated)
    labels = np.round(warp(atlas.labels, "nearestNeighbor")).astype(np.uint8)
    arrays = {"image": high.astype(np.float32), "interpolated": low.astype(np.float32), "labels": labels}
    atomic(path, lambda part: np.savez_compressed(part, **arrays))


def labelled_zone(case: Case, warped: Sequence[Warped], margin: int) -> np.ndarray:
    """Return where any warped atlas has a label, `margin` voxels more, inside the case's mask; bool (X, Y, Z)."""
    zone = ndimage.binary_dilation(np.any([atlas.labels > 0 for atlas in warped], axis=0), iterations=margin)
    return zone if case.mask is None else zone & (np.asarray(case.mask.dataobj) > 0)


def around_head(image: Nifti1Image, target_mm: float) -> Nifti1Image:
    """Resample an image to a coarse grid and cut off the air around the head."""
    coarse = resample_isotropic(image, target_mm)
    return crop(coarse, head_box(np.asarray(coarse.dataobj), margin=int(np.ceil(MARGIN_MM / target_mm))))


def _read(path: Path) -> dict[str, np.ndarray] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path) as arrays:
            return {name: arrays[name] for name in ("image", "interpolated", "labels")}
    except Exception:  # a damaged entry is computed again, whatever numpy or zlib call the damage
        return None
