"""Atropos (Avants et al. 2011, doi 10.1007/s12021-011-9109-y; antspyx) with the priors of the registered atlases."""

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_study.baselines.ants_worker import antspyx, in_workers, to_ants
from segsrgan_study.baselines.case import Case, Method, MethodFailed
from segsrgan_study.baselines.priors import label_brain


def label(case: Case, prior_weight: float, mrf_weight: float, iterations: int, **priors) -> Nifti1Image:
    """Label an image by at most so many EM iterations; `priors` as in `label_brain`.

    The weights are that of the priors after the start, 0 to 1, and the MRF's smoothing factor.
    """
    options = {"priorweight": prior_weight, "m": f"[{mrf_weight},1x1x1]", "c": f"[{iterations},0]"}
    options["r"] = 0  # the MRF visits the voxels in a random order, whose seed is else taken from the clock

    def estimate(image, inside, priors, _):
        (maps,) = in_workers(_atropos, [(image, inside, priors, options)])
        return maps

    return label_brain(case, estimate, margin=1, **priors)


def _atropos(image: np.ndarray, inside: np.ndarray, priors: np.ndarray, options: dict) -> np.ndarray:
    """Return the posteriors (C, X, Y, Z); runs in a worker process, for Atropos leaves files behind.

    Voxels of 1 mm at the origin: the priors travel through files, which hold positions less exactly than it asks for.
    Of an even number along each axis: with odd ones the same result takes three times as long.
    """
    import ants

    even = (np.pad(one.astype(np.float32), [(0, n % 2) for n in one.shape]) for one in (image, inside, *priors))
    image, mask, *given = (to_ants(Nifti1Image(one, np.eye(4))) for one in even)
    found = ants.atropos(image, mask, i=given, **options)
    maps = np.stack([one.numpy()[tuple(map(slice, inside.shape))] for one in found["probabilityimages"]])
    if len(maps) != len(priors) or not maps[:, inside].any():
        raise MethodFailed(f"Atropos gave {len(maps)} usable maps for {len(priors)} priors")
    return maps


PARAMETERS = {
    "prior_weight": 0.5,
    "mrf_weight": 0.1,
    "iterations": 1,  # more let the Gaussians drift: cortex Dice 0.77 with 1, 0.74 with 5 on the fetal atlas
    "prior_sigma_voxels": 1.0,
    "atlas_images": "interpolated",
}
METHOD = Method("atropos", "Atropos", lambda: f"{antspyx()}, priors from the atlases", PARAMETERS, label)
