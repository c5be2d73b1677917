"""IMAPA: the iterative multi-atlas patch-based approach (Tor-Diez et al. 2018, Comput Med Imaging Graph 70:73-82).

Defaults are the published ones. The paper labels one class; two choices carry it over to several. The label distance is
half the squared difference over all classes, outside included, which for one class is the same number; and the classes
share the weights, so that the soft maps sum to 1 and the largest gives the label (for one class: above 0.5).

The published mask, a dilated union of the warped labels, is not needed: where all atlases carry one label in the whole
search window, that is the result whatever the weights, and only the other voxels are computed.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.cores import cores
from segsrgan_core.errors import UserError
from segsrgan_study.baselines.atlas_images import matched_atlases
from segsrgan_study.baselines.case import Case, Method
from segsrgan_study.baselines.fusion import certain_labels
from segsrgan_study.boxes import Box, around, padded_box
from segsrgan_study.progress import tell


def label(case: Case, atlas_images: str, **parameters) -> Nifti1Image:
    """Label an image; parameters as `soft_labels` and `matched_atlases`, result as `Method.run`."""
    images, labels = matched_atlases(case, atlas_images)
    numbers, soft = soft_labels(np.asarray(case.image.dataobj, np.float32), images, labels, **parameters)
    return Nifti1Image(numbers[soft.argmax(axis=-1)].astype(np.uint8), case.image.affine)


def soft_labels(
    target: np.ndarray,
    atlases: np.ndarray,
    labels: np.ndarray,
    half_patch: int = 1,
    half_window: int = 3,
    k: int = 15,
    alphas: Sequence[float] = (0.0, 0.25),
) -> tuple[np.ndarray, np.ndarray]:
    """Fuse registered atlases: the label of each map, (C,), 0 first, and maps that sum to 1, float32 (X, Y, Z, C).

    The target (X, Y, Z) is the image to label; the atlases (N, X, Y, Z) are images on its grid, intensities matched to
    it; all images are 0 beyond their edges. Labels (N, X, Y, Z) are whole numbers from 0, which is outside, to 255.
    `half_patch` and `half_window` are half widths in voxels, of a patch (1: 3 x 3 x 3) and of the search window (3:
    7 x 7 x 7 patches an atlas), `k` is the number of patches kept, `alphas` the label distance's weight by iteration.
    """
    from segsrgan_study.baselines.imapa_kernel import fuse_plane

    candidates = len(atlases) * (2 * half_window + 1) ** 3
    widths_fit = half_patch >= 0 and half_window >= 0 and 1 <= k <= candidates
    if not widths_fit or not alphas or not all(0 <= a <= 1 for a in alphas):
        raise UserError(
            f"imapa: half_patch {half_patch}, half_window {half_window}, k {k} or alphas {list(alphas)} out of range; "
            f"half widths begin at 0, k lies between 1 and {candidates}, the number of patches, alphas between 0 and 1."
        )
    if not target.max() > 0:
        raise UserError(f"imapa: the image has no value above 0; its maximum is {target.max()}.")
    numbers = np.union1d([0], labels)
    classes = np.searchsorted(numbers, labels).astype(np.uint8)
    certain, zone = certain_labels(classes, half_window)
    maps = np.eye(len(numbers), dtype=np.float32)  # one row a class
    soft = maps[certain]
    if not zone.any():
        return numbers, soft
    pad, box = half_patch + half_window, around(zone)
    scale = np.float32(target.max())
    images = [padded_box(np.asarray(array, np.float32), box, pad) / scale for array in (target, atlases)]
    classes = padded_box(classes, box, pad)
    zone_in_box = np.ascontiguousarray(zone[box])
    before = np.broadcast_to(maps[0], soft.shape)  # outside everywhere, as published
    for iteration, a in enumerate(alphas):
        misfit = _misfit(before, box, pad) if a > 0 else np.empty((0, 0, 0, len(numbers)), np.float32)
        fused = soft[box].copy()
        rest = (*images, classes, misfit), zone_in_box, fused, (half_patch, half_window), k, float(a)
        with ThreadPoolExecutor(cores()) as pool:
            planes = [pool.submit(fuse_plane, x, *rest) for x in range(len(fused))]
            for done, plane in enumerate(planes, start=1):
                plane.result()
                tell(f"IMAPA: {(iteration + done / len(fused)) / len(alphas):.0%}")
        soft[box] = fused
        before = soft
    return numbers, soft


def _misfit(soft: np.ndarray, box: Box, pad: int) -> np.ndarray:
    """Return the squared difference of soft maps (X, Y, Z, C) and each label in a box and around it, like `soft`."""
    maps = padded_box(np.moveaxis(soft, -1, 0), box, pad)
    maps[0] += 1 - maps.sum(axis=0)  # the outside goes on beyond the edges
    return np.ascontiguousarray(np.moveaxis(1 + (maps**2).sum(axis=0) - 2 * maps, 0, -1))


PARAMETERS = {"half_patch": 1, "half_window": 3, "k": 15, "alphas": (0.0, 0.25), "atlas_images": "interpolated"}
METHOD = Method("imapa", "IMAPA", lambda: "Tor-Diez 2018, own compiled version", PARAMETERS, label)
