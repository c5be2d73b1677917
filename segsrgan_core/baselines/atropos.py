"""Atropos (Avants et al. 2011, doi 10.1007/s12021-011-9109-y; antspyx) with the priors of the registered atlases."""

from importlib.metadata import version
from pathlib import Path
from tempfile import mkdtemp

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.baselines.ants_worker import in_workers, to_ants
from segsrgan_core.baselines.boxes import around, crop
from segsrgan_core.baselines.case import Case, Method, MethodFailed
from segsrgan_core.baselines.fusion import matched
from segsrgan_core.baselines.priors import scaled, tissue_priors
from segsrgan_core.baselines.registration import labelled_zone, warped_atlases
from segsrgan_core.environment import cores


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
        options = {"prior_weight": prior_weight, "mrf_weight": mrf_weight, "iterations": iterations}
        (classes,) = in_workers(_atropos, [(array, inside, priors, options)], workers=1, threads=cores())
        result[box] = np.where(inside, numbers[classes], 0)
    return Nifti1Image(result, case.image.affine)


def _atropos(array: np.ndarray, inside: np.ndarray, priors: np.ndarray, options: dict) -> np.ndarray:
    """Return the class of each voxel, 0 ... C - 1; runs in a worker process, whose temporary folder goes with it.

    Priors and results travel through files. antspyx's own `atropos` compresses them, which takes as long as the rest:
    so its compiled function is called as it calls it, with files that are not compressed. Voxels of 1 mm at the origin:
    files hold positions less exactly than Atropos asks for.
    """
    import ants
    from ants.internal import get_lib_fn, get_pointer_string, process_arguments

    def convert(one: np.ndarray):
        return to_ants(Nifti1Image(one.astype(np.float32), np.eye(4)))

    folder = Path(mkdtemp())
    for number, prior in enumerate(priors, start=1):
        ants.image_write(convert(prior), str(folder / f"prior{number:02d}.nii"))
    image, mask = convert(array), convert(inside).clone("unsigned int")
    classes = mask.clone()
    arguments = {
        "d": 3,
        "a": image,
        "x": mask,
        "i": f"PriorProbabilityImages[{len(priors)},{folder}/prior%02d.nii,{options['prior_weight']}]",
        "m": f"[{options['mrf_weight']},1x1x1]",
        "c": f"[{options['iterations']},0]",
        "o": f"[{get_pointer_string(classes)},{folder}/map%02d.nii]",
    }
    status = get_lib_fn("Atropos")(process_arguments(arguments))
    maps = [np.asarray(nib.load(path).dataobj) for path in sorted(folder.glob("map*.nii"))]
    if status != 0 or len(maps) != len(priors) or not np.any([one[inside].any() for one in maps]):
        raise MethodFailed(f"Atropos ended with status {status} and {len(maps)} maps for {len(priors)} priors")
    return np.argmax(maps, axis=0)


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
