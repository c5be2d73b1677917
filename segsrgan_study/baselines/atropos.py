"""Atropos (Avants et al. 2011, doi 10.1007/s12021-011-9109-y; antspyx) with the priors of the registered atlases."""

from importlib.metadata import version

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.baselines.ants_worker import in_workers, to_ants
from segsrgan_study.baselines.boxes import around, crop
from segsrgan_study.baselines.case import Case, Method, MethodFailed
from segsrgan_study.baselines.fusion import matched
from segsrgan_study.baselines.priors import scaled, tissue_priors
from segsrgan_study.baselines.registration import labelled_zone, warped_atlases

# The MRF visits the voxels in a random order; without this Atropos takes its seed from the clock.
SAME_ORDER = {"r": 0}


def label(
    case: Case, prior_weight: float, mrf_weight: float, iterations: int, prior_sigma_voxels: float, atlas_images: str
) -> Nifti1Image:
    """Label an image.

    Args:
        case: image and atlases.
        prior_weight: weight of the priors after the start, 0 to 1.
        mrf_weight: smoothing factor of the MRF, neighbours within 1 voxel.
        iterations: most EM iterations.
        prior_sigma_voxels: smoothing of the priors.
        atlas_images: as in `fusion.matched`.

    Returns:
        As `Method.run`.
    """
    warped = warped_atlases(case)
    zone = labelled_zone(case, warped, margin=1)
    result = np.zeros(case.image.shape, np.uint8)
    if zone.any():
        box = around(zone, 2)
        image, inside = crop(case.image, box), zone[box]
        array = scaled(np.asarray(image.dataobj), inside)
        atlases = [scaled(one, inside) for one in matched(case, warped, atlas_images, box)]
        labels = [atlas.labels[box] for atlas in warped]
        numbers = np.unique(np.stack(labels)[:, inside])
        priors = tissue_priors(array, atlases, labels, numbers, prior_sigma_voxels)
        options = {"priorweight": prior_weight, "m": f"[{mrf_weight},1x1x1]", "c": f"[{iterations},0]", **SAME_ORDER}
        (classes,) = in_workers(_atropos, [(array, inside, priors, options)], workers=1)
        result[box] = np.where(inside, numbers[classes], 0)
    return Nifti1Image(result, case.image.affine)


def _atropos(array: np.ndarray, inside: np.ndarray, priors: np.ndarray, options: dict) -> np.ndarray:
    """Return the class of each voxel, 0 ... C - 1; runs in a worker process, for Atropos leaves files behind.

    Voxels of 1 mm at the origin: the priors travel through files, which hold positions less exactly than it asks for.
    """
    import ants

    def convert(one: np.ndarray):
        return to_ants(Nifti1Image(one.astype(np.float32), np.eye(4)))

    found = ants.atropos(convert(array), convert(inside), i=[convert(prior) for prior in priors], **options)
    maps = np.stack([one.numpy() for one in found["probabilityimages"]])
    if len(maps) != len(priors) or not maps[:, inside].any():
        raise MethodFailed(f"Atropos gave {len(maps)} usable maps for {len(priors)} priors")
    return maps.argmax(axis=0)


METHOD = Method(
    name="atropos",
    title="Atropos",
    version=lambda: f"antspyx {version('antspyx')}, priors from the atlases",
    parameters={
        "prior_weight": 0.5,
        "mrf_weight": 0.1,
        "iterations": 1,  # more let the Gaussians drift: cortex Dice 0.77 with 1, 0.74 with 5 on the fetal atlas
        "prior_sigma_voxels": 1.0,
        "atlas_images": "interpolated",
    },
    label=label,
)
