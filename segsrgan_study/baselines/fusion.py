"""Label fusion: majority vote, and joint label fusion (Wang et al. 2013, doi 10.1109/TPAMI.2012.143; antspyx)."""

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.cores import cores
from segsrgan_study.baselines.ants_worker import antspyx, in_workers, to_ants
from segsrgan_study.baselines.atlas_images import matched_atlases
from segsrgan_study.baselines.case import Case, Method, MethodFailed
from segsrgan_study.baselines.registration import warped_atlases
from segsrgan_study.boxes import around, crop


def majority_vote(case: Case) -> Nifti1Image:
    """Give each voxel the label that most warped atlases carry; of equal counts the smallest number."""
    labels = warped_atlases(case)["labels"]
    counts = [(labels == number).sum(axis=0) for number in range(10)]
    return Nifti1Image(np.argmax(counts, axis=0).astype(np.uint8), case.image.affine)


def joint_label_fusion(case: Case, atlas_images: str, **options: float) -> Nifti1Image:
    """Fuse warped atlases with weights that account for errors they share.

    Only voxels with a choice are computed: see `certain_labels`. The options are those of `ants.joint_label_fusion`:
    `beta`, exponent of the similarities; `rad` and `r_search`, half widths of a patch and of the search window in
    voxels; `rho`, the ridge that keeps the weights near their mean. The defaults are smaller than antspyx's rad 2 and
    r_search 3 for the time's sake: on the fetal atlas a window of 3 took 2.7 times as long as one of 2 and was worse.
    """
    images, labels = matched_atlases(case, atlas_images)
    result, zone = certain_labels(labels, options["r_search"])
    if zone.any():
        box = around(zone, options["rad"] + options["r_search"])
        job = (crop(case.image, box), images[:, *box], labels[:, *box], zone[box], options)
        (fused,) = in_workers(_fuse, [job], threads=cores())
        result[box][zone[box]] = fused[zone[box]]
    return Nifti1Image(result.astype(np.uint8), case.image.affine)


def _fuse(image: Nifti1Image, atlases: np.ndarray, labels: np.ndarray, zone: np.ndarray, options: dict) -> np.ndarray:
    """Call antspyx, which takes 0 for "no label", with all labels one higher; runs in a worker process."""
    import ants

    mask, *moved = (to_ants(Nifti1Image(one, image.affine)) for one in (zone.astype(np.float32), *atlases, *labels + 1))
    n = len(atlases)
    found = ants.joint_label_fusion(to_ants(image), mask, moved[:n], label_list=moved[n:], **options)
    fused = np.round(found["segmentation"].numpy()).astype(int) - 1
    if fused[zone].min() < 0:
        raise MethodFailed("joint label fusion left voxels without a label")
    return fused


def certain_labels(labels: np.ndarray, half_window: int) -> tuple[np.ndarray, np.ndarray]:
    """Find where all atlases' labels (N, X, Y, Z) are one in the whole search window: fusion has no choice there.

    Returns the label (X, Y, Z), 0 where there is a choice, and where there is one.
    """
    size = 2 * half_window + 1
    lowest = ndimage.minimum_filter(labels.min(axis=0), size, mode="constant")
    highest = ndimage.maximum_filter(labels.max(axis=0), size, mode="constant")
    zone = lowest != highest
    return np.where(zone, 0, lowest), zone


MAJORITY_VOTE = Method("majority_vote", "Majority vote", lambda: f"registration by {antspyx()}", {}, majority_vote)
PARAMETERS = {"beta": 4.0, "rad": 1, "rho": 0.01, "r_search": 2, "atlas_images": "interpolated"}
JOINT_LABEL_FUSION = Method("joint_label_fusion", "Joint label fusion", antspyx, PARAMETERS, joint_label_fusion)
