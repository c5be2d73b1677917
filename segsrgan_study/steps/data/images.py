"""Images of one row of a manifest, in RAS+ order on the study's grid."""

from collections.abc import Callable

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.errors import UserError
from segsrgan_core.imaging.geometry import isotropic_grid, resample_isotropic, resample_like, resample_to, spacing_mm
from segsrgan_core.imaging.hemispheres import intracranial, split_hemispheres
from segsrgan_study.cohorts.labels import label_mapping, to_drawem9
from segsrgan_study.cohorts.manifest import locate
from segsrgan_study.cohorts.schema import Row
from segsrgan_study.files import load_image, load_labels
from segsrgan_study.params import Settings
from segsrgan_study.paths import Study
from segsrgan_study.phantoms.physics import at_echo_times
from segsrgan_study.progress import say

Images = dict[str, Nifti1Image]  # names as in `PreparedCase`; an image that is unknown is not there


def case_name(row: Row) -> str:
    """Return the name that results use: the subject, and the session where there is one."""
    return f"{row.subject}_{row.session}" if row.session else row.subject


def case_images(study: Study, settings: Settings, row: Row, name: str) -> Images:
    """Read the images of a row; unless they were acquired, simulate thick slices, with noise that depends on `name`.

    UserError: a file is missing or at fault, or voxels are anisotropic and `simulation.spacing_mm` is not set.
    """
    if row.split == "variability":
        kinds = {"low": row.image, "hr": row.hr, "labels": row.labels, "sides": row.sides}
        images = {kind: _read(study, settings, kind, path) for kind, path in kinds.items() if path}
        like = images.get("hr", images.get("labels"))
        return images if like is None else images | interpolated_on(like, images["low"], row.image)
    hr, labels = load_truth(study, settings, row)
    low = settings.simulation.acquire(hr, np.random.default_rng([settings.seed, *name.encode()]))
    sides = load_sides(study, settings, row, hr, labels)
    return {"low": low, "hr": hr, "labels": labels, "sides": sides, "interpolated": resample_like(low, hr)}


def load_truth(study: Study, settings: Settings, row: Row) -> tuple[Nifti1Image, Nifti1Image]:
    """Read the image, float32, and the labels, uint8 (drawem9 numbers), of a high-resolution row on the study's grid.

    Both are RAS+; errors as `case_images`.
    """
    image, labels = (_read(study, settings, kind, getattr(row, kind)) for kind in ("image", "labels"))
    spacing = spacing_mm(image)
    if settings.simulation.spacing_mm is None and np.ptp(spacing) > 0.02 * spacing.min():
        advice = "set simulation.spacing_mm in params.yaml to resample the cohort"
        raise UserError(f"{row.image}: the voxels are not isotropic ({np.round(spacing, 3)} mm); {advice}.")
    return _on_grid(settings, image, resample_isotropic), _on_grid(settings, labels, resample_labels)


def load_sides(study: Study, settings: Settings, row: Row, image: Nifti1Image, labels: Nifti1Image) -> Nifti1Image:
    """Return left (1) and right (2) within the skull: as the row has them, or by the plane of symmetry of the head."""
    if row.sides:
        return _on_grid(settings, _read(study, settings, "sides", row.sides), resample_labels)
    return Nifti1Image(split_hemispheres(image, intracranial(np.asarray(labels.dataobj))), image.affine)


def _on_grid(settings: Settings, image: Nifti1Image, resample: Callable) -> Nifti1Image:
    target = settings.simulation.spacing_mm
    return image if target is None else resample(image, target)


def resample_labels(labels: Nifti1Image, target_mm: float) -> Nifti1Image:
    """Resample labels (uint8) to the grid of `resample_isotropic`: each new voxel to the class of its largest share."""
    array = np.asarray(labels.dataobj)
    shape, affine = isotropic_grid(labels, target_mm)
    if shape == array.shape and np.allclose(affine, labels.affine, atol=1e-6):
        return labels
    best = np.full(shape, -1.0, np.float32)
    result = np.zeros(shape, np.uint8)
    for number in np.unique(array):
        share = resample_to(Nifti1Image((array == number).astype(np.float32), labels.affine), shape, affine, order=1)
        share = np.asarray(share.dataobj)
        result[share > best] = number
        best = np.maximum(best, share)
    return Nifti1Image(result, affine)


def _read(study: Study, settings: Settings, kind: str, name: str) -> Nifti1Image:
    path = locate(study.data_root(settings.cohort), name)
    if kind not in ("labels", "sides"):
        return nib.as_closest_canonical(load_image(path))
    image = nib.as_closest_canonical(load_labels(path))
    numbers = np.asarray(image.dataobj)
    if kind == "labels":
        return Nifti1Image(to_drawem9(numbers, label_mapping(settings.cohort, study.manifests), name), image.affine)
    return Nifti1Image(numbers.astype(np.uint8), image.affine)


def echo_images(name: str, images: Images, settings: Settings) -> dict[float, Images]:
    """Re-synthesise a head, from its `hr` and `labels`, at the talk's echo times and cut it into thick slices.

    The random values of a head depend on its name and the seed alone. Images are returned by echo time in ms; `hr` is
    without noise.
    """
    rng = np.random.default_rng([settings.seed, *f"{name} echoes".encode()])
    echoes, noise = at_echo_times(images["hr"], images["labels"], rng)
    lows = {te: settings.simulation.acquire(hr, rng, noise) for te, hr in echoes.items()}
    return {te: {**images, "hr": hr, "low": lows[te], **interpolated_on(hr, lows[te])} for te, hr in echoes.items()}


def interpolated_on(like: Nifti1Image, low: Nifti1Image, name: str = "") -> Images:
    """Return the cubic spline of thick slices on another image's grid; nothing where that is rotated to the slices."""
    try:
        return {"interpolated": resample_like(low, like)}
    except UserError:
        say(f"{name}: the truth is rotated to the slices, so that only volumes are compared")
        return {}
