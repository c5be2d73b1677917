"""Images of one row of a manifest, in RAS+ order on the study's grid."""

from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import resample_isotropic, resample_labels, resample_like, spacing_mm
from segsrgan_core.imaging.hemispheres import intracranial, split_hemispheres
from segsrgan_study.cohorts.labels import to_drawem9
from segsrgan_study.cohorts.manifest import locate
from segsrgan_study.cohorts.presets import label_mapping
from segsrgan_study.cohorts.schema import Row
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.phantoms.echoes import at_echo_times
from segsrgan_study.progress import say


def case_name(row: Row) -> str:
    """Return the name that results use: the subject, and the session where there is one."""
    return f"{row.subject}_{row.session}" if row.session else row.subject


class CaseImages(NamedTuple):
    """The images of one case in RAS+ order, see `PreparedCase`; None where unknown."""

    low: Nifti1Image
    hr: Nifti1Image | None = None
    labels: Nifti1Image | None = None
    sides: Nifti1Image | None = None
    interpolated: Nifti1Image | None = None


def case_images(study: Study, settings: Settings, row: Row, name: str) -> CaseImages:
    """Read the images of a row; simulate the thick slices unless they were acquired.

    Args:
        study: folders.
        settings: cohort, seed and simulation.
        row: of the cohort's manifest.
        name: of the case; the simulated noise depends on it.

    Raises:
        UserError: a file is missing or at fault, or voxels are anisotropic and `simulation.spacing_mm` is not set.
    """
    if row.split == "variability":
        return _acquired(study, settings, row)
    hr, labels = load_truth(study, settings, row)
    low = settings.simulation.acquire(hr, np.random.default_rng([settings.seed, *name.encode()]))
    return CaseImages(low, hr, labels, _hemispheres(study, settings, row, hr, labels), resample_like(low, hr))


def _acquired(study: Study, settings: Settings, row: Row) -> CaseImages:
    root = study.data_root(settings.cohort)
    low = nib.as_closest_canonical(load_image(locate(root, row.image)))
    hr = nib.as_closest_canonical(load_image(locate(root, row.hr))) if row.hr else None
    labels = _labels(study, settings, row) if row.labels else None
    sides = _numbers(study, settings, row.sides) if row.sides else None
    like = labels if hr is None else hr
    return CaseImages(low, hr, labels, sides, None if like is None else interpolated_on(like, low, row.image))


def echo_images(name: str, images: CaseImages, settings: Settings) -> dict[float, CaseImages]:
    """Re-synthesise a head at the talk's echo times and cut it into thick slices.

    Args:
        name: of the case. The random values of a head depend on its name and the seed alone.
        images: of the case; `hr` and `labels` must be known.
        settings: seed and simulation.

    Returns:
        Images by echo time in ms; `hr` is without noise.
    """
    rng = np.random.default_rng([settings.seed, *f"{name} echoes".encode()])
    echoes, noise = at_echo_times(images.hr, images.labels, rng)
    found = {}
    for te, hr in echoes.items():
        low = settings.simulation.acquire(hr, rng, noise)
        found[te] = images._replace(hr=hr, low=low, interpolated=interpolated_on(hr, low))
    return found


def interpolated_on(like: Nifti1Image, low: Nifti1Image, name: str = "") -> Nifti1Image | None:
    """Return the cubic spline of thick slices on another image's grid; None where that is rotated to the slices."""
    try:
        return resample_like(low, like)
    except UserError:
        say(f"{name}: the truth is rotated to the slices, so that only volumes are compared")
        return None


def load_truth(study: Study, settings: Settings, row: Row) -> tuple[Nifti1Image, Nifti1Image]:
    """Read the image and the labels of a high-resolution row on the study's grid.

    Returns:
        float32 image and uint8 labels (drawem9 numbers), RAS+.
    """
    image = nib.as_closest_canonical(load_image(locate(study.data_root(settings.cohort), row.image)))
    labels, target = _labels(study, settings, row), settings.simulation.spacing_mm
    if target is not None:
        return resample_isotropic(image, target), resample_labels(labels, target)
    spacing = spacing_mm(image)
    if np.ptp(spacing) > 0.02 * spacing.min():
        raise UserError(
            f"{row.image}: the voxels are not isotropic ({np.round(spacing, 3)} mm); set simulation.spacing_mm in "
            "params.yaml to resample the cohort."
        )
    return image, labels


def _numbers(study: Study, settings: Settings, path: str) -> Nifti1Image:
    labels = nib.as_closest_canonical(load_labels(locate(study.data_root(settings.cohort), path)))
    return Nifti1Image(np.asarray(labels.dataobj).astype(np.uint8), labels.affine)


def _labels(study: Study, settings: Settings, row: Row) -> Nifti1Image:
    labels = nib.as_closest_canonical(load_labels(locate(study.data_root(settings.cohort), row.labels)))
    mapping = label_mapping(settings.cohort, study.manifests)
    return Nifti1Image(to_drawem9(np.asarray(labels.dataobj), mapping, row.labels), labels.affine)


def _hemispheres(study: Study, settings: Settings, row: Row, hr: Nifti1Image, labels: Nifti1Image) -> Nifti1Image:
    """Read the hemispheres that the manifest names, or split the head along its plane of symmetry."""
    if not row.sides:
        return Nifti1Image(split_hemispheres(hr, intracranial(np.asarray(labels.dataobj))), hr.affine)
    sides, target = _numbers(study, settings, row.sides), settings.simulation.spacing_mm
    return sides if target is None else resample_labels(sides, target)
