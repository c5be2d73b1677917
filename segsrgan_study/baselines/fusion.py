"""Label fusion: majority vote, and joint label fusion (Wang et al. 2013, doi 10.1109/TPAMI.2012.143; antspyx)."""

from importlib.metadata import version

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage

from segsrgan_core.cores import cores
from segsrgan_study.baselines.ants_worker import in_workers, to_ants
from segsrgan_study.baselines.boxes import around, crop
from segsrgan_study.baselines.case import Case, Method, MethodFailed, one_of
from segsrgan_study.baselines.histogram import match_histogram
from segsrgan_study.baselines.registration import Warped, warped_atlases


def majority_vote(case: Case) -> Nifti1Image:
    """Give each voxel the label that most warped atlases carry; of equal counts the smallest number."""
    labels = np.stack([atlas.labels for atlas in warped_atlases(case)])
    counts = [(labels == number).sum(axis=0) for number in range(10)]
    return Nifti1Image(np.argmax(counts, axis=0).astype(np.uint8), case.image.affine)


def joint_label_fusion(case: Case, beta: float, rad: int, rho: float, r_search: int, atlas_images: str) -> Nifti1Image:
    """Fuse warped atlases with weights that account for errors they share.

    Only voxels with a choice are computed: see `certain_labels`. The defaults are smaller than antspyx's rad 2 and
    r_search 3 for the time's sake: on the fetal atlas a window of 3 took 2.7 times as long as one of 2 and was worse.

    Args:
        case: image and atlases.
        beta: exponent of the similarities.
        rad: half width of a patch in voxels.
        rho: ridge that keeps the weights near their mean.
        r_search: half width of the search window in voxels.
        atlas_images: as in `matched`.

    Returns:
        As `Method.run`.
    """
    warped = warped_atlases(case)
    mask = None if case.mask is None else np.asarray(case.mask.dataobj) > 0
    labels, zone = certain_labels(np.stack([atlas.labels for atlas in warped]), r_search, mask)
    if zone.any():
        box = around(zone, rad + r_search)
        job = (
            crop(case.image, box),
            matched(case, warped, atlas_images, box),
            [a.labels[box] for a in warped],
            zone[box],
        )
        options = {"beta": beta, "rad": rad, "rho": rho, "r_search": r_search}
        case.progress("joint label fusion", 0.0)
        (fused,) = in_workers(_fuse, [(*job, options)], workers=1, threads=cores())
        labels[box][zone[box]] = fused[zone[box]]
        case.progress("joint label fusion", 1.0)
    return Nifti1Image(labels.astype(np.uint8), case.image.affine)


def _fuse(image: Nifti1Image, atlases: list, labels: list, zone: np.ndarray, options: dict) -> np.ndarray:
    """Call antspyx, which takes 0 for "no label", with all labels one higher; runs in a worker process."""
    import ants

    def convert(array: np.ndarray):
        return to_ants(Nifti1Image(array.astype(np.float32), image.affine))

    found = ants.joint_label_fusion(
        to_ants(image),
        convert(zone),
        [convert(a) for a in atlases],
        label_list=[convert(a + 1.0) for a in labels],
        **options,
    )
    fused = np.round(found["segmentation"].numpy()).astype(int) - 1
    if fused[zone].min() < 0:
        raise MethodFailed("joint label fusion left voxels without a label")
    return fused


def certain_labels(
    labels: np.ndarray, half_window: int, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find where fusion has no choice: all atlases carry one label in the whole search window.

    Args:
        labels: (N, X, Y, Z) whole numbers; 0 beyond the edges.
        half_window: half width of the search window in voxels.
        mask: (X, Y, Z) voxels to label, None for all.

    Returns:
        The label (X, Y, Z), 0 outside the mask and where there is a choice; and bool (X, Y, Z), where there is one.
    """
    size = 2 * half_window + 1
    lowest = ndimage.minimum_filter(labels.min(axis=0), size, mode="constant", cval=0)
    highest = ndimage.maximum_filter(labels.max(axis=0), size, mode="constant", cval=0)
    inside = np.ones(lowest.shape, bool) if mask is None else mask
    zone = (lowest != highest) & inside
    return np.where(zone | ~inside, 0, lowest), zone


def matched(case: Case, warped: list[Warped], atlas_images: str, box=(slice(None),) * 3) -> list[np.ndarray]:
    """Return the warped atlases' images with the intensities of the case's image.

    Args:
        case: the case.
        warped: its atlases on its grid.
        atlas_images: "interpolated" (as degraded as the case's image) or "high_resolution".
        box: slices of what to return.

    Returns:
        float32, one array an atlas.
    """
    target = np.asarray(case.image.dataobj, dtype=np.float32)
    name = one_of(atlas_images, "atlas_images", {"interpolated": "interpolated", "high_resolution": "image"})
    return [match_histogram(getattr(atlas, name), target, atlas.labels > 0)[box] for atlas in warped]


MAJORITY_VOTE = Method(
    name="majority_vote",
    title="Majority vote",
    version=lambda: f"registration by antspyx {version('antspyx')}",
    parameters={},
    label=majority_vote,
)
JOINT_LABEL_FUSION = Method(
    name="joint_label_fusion",
    title="Joint label fusion",
    version=lambda: f"antspyx {version('antspyx')}",
    parameters={"beta": 4.0, "rad": 1, "rho": 0.01, "r_search": 2, "atlas_images": "interpolated"},
    label=joint_label_fusion,
)
