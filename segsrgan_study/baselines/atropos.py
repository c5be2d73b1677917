"""Atropos (Avants et al. 2011, doi 10.1007/s12021-011-9109-y; antspyx) with the priors of the registered atlases."""

from importlib.metadata import version

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.baselines.ants_worker import in_workers, to_ants
from segsrgan_study.baselines.case import Case, Method, MethodFailed
from segsrgan_study.baselines.priors import find_brain, scaled, tissue_priors

# The MRF visits the voxels in a random order; without this Atropos takes its seed from the clock.
SAME_ORDER = {"r": 0}


def label(
    case: Case, prior_weight: float, mrf_weight: float, iterations: int, prior_sigma_voxels: float, atlas_images: str
) -> Nifti1Image:
    """Label an image; result and errors as `Method.run`.

    Args:
        case: image and atlases.
        prior_weight: weight of the priors after the start, 0 to 1.
        mrf_weight: smoothing factor of the MRF, neighbours within 1 voxel.
        iterations: most EM iterations.
        prior_sigma_voxels: smoothing of the priors, in voxels.
        atlas_images: as in `matched`.
    """
    brain = find_brain(case, 1, atlas_images)
    array = scaled(np.asarray(brain.image.dataobj), brain.inside)
    numbers = np.unique(np.stack(brain.labels)[:, brain.inside])
    priors = tissue_priors(array, brain.atlases, brain.labels, numbers, prior_sigma_voxels)
    options = {"priorweight": prior_weight, "m": f"[{mrf_weight},1x1x1]", "c": f"[{iterations},0]", **SAME_ORDER}
    (classes,) = in_workers(_atropos, [(array, brain.inside, priors, options)])
    return brain.label_map(numbers[classes], case)


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
