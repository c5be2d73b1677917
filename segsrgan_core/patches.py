"""Random training patches, drawn on the fly without writing to disk.

Patch number i depends on (seed, i) only, so that a resumed training sees the same patches as an uninterrupted one.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from scipy import ndimage

from segsrgan_core.classes import Classes
from segsrgan_core.cores import cores
from segsrgan_core.imaging.contrast import exponent
from segsrgan_core.imaging.geometry import apply_along
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.imaging.noise import add_rician, jitter_slices, random_ramp
from segsrgan_core.imaging.resynthesis import OUTER, draw_signals, resynthesise, tissue_signals
from segsrgan_core.settings import TrainingSettings
from segsrgan_core.simulation import Simulation

N_CENTRES = 20_000


@dataclass(frozen=True)
class TrainingSubject:
    """One subject in memory.

    Attributes:
        name: name of the subject.
        image: float32 (X, Y, Z), RAS+, high resolution, scaled so that its interpolated image has scale 1.
        labels: uint8 (X, Y, Z), drawem9 numbers.
        sides: uint8 (X, Y, Z), 1 left, 2 right, 0 outside the skull; None if hemispheres are not learnt.
        signals: float32 (10,), median signal of each label in the image.
        centres: int (N, 3), voxels that patches may contain as their anchor.
        spacing_mm: isotropic voxel size in mm.
    """

    name: str
    image: np.ndarray
    labels: np.ndarray
    sides: np.ndarray | None
    signals: np.ndarray
    centres: np.ndarray
    spacing_mm: float


def prepare_subject(
    name: str,
    image: np.ndarray,
    labels: np.ndarray,
    classes: Classes,
    spacing_mm: float,
    simulation: Simulation,
    patch: int,
    seed: int,
    sides: np.ndarray | None = None,
) -> TrainingSubject:
    """Scale a subject's image and choose the places of its patches.

    Args:
        name: name of the subject.
        image: float32 (X, Y, Z), RAS+, high resolution.
        labels: uint8 (X, Y, Z), drawem9 numbers.
        classes: classes that the network segments; patches are drawn around them.
        spacing_mm: isotropic voxel size in mm.
        simulation: acquisition of which the interpolated image gets the intensity scale 1.
        patch: edge of a patch in voxels; a smaller image is mirrored to this size.
        seed: seed of the choice of centres.
        sides: uint8 (X, Y, Z), 1 left, 2 right; needed if `classes` has hemispheres.
    """
    axis = simulation.axis
    down, up = simulation.matrices(image.shape[axis], spacing_mm)
    scale = intensity_scale(apply_along(apply_along(image, down, axis), up, axis))
    margins = [((patch - n + 1) // 2, (patch - n) // 2) if n < patch else (0, 0) for n in image.shape]
    image = image / np.float32(scale)
    image, labels, sides = (a if a is None else np.pad(a, margins, "symmetric") for a in (image, labels, sides))
    labelled = np.argwhere(classes.encode(labels) > 0)
    if len(labelled) == 0:
        labelled = np.argwhere(image > image.mean())
    chosen = np.random.default_rng(seed).integers(len(labelled), size=N_CENTRES)
    centres = labelled[chosen].astype(np.int32)
    return TrainingSubject(name, image, labels, sides, tissue_signals(image, labels), centres, spacing_mm)


def draw_patch(
    subjects: list[TrainingSubject],
    settings: TrainingSettings,
    simulation: Simulation,
    classes: Classes,
    thickness_channel: bool,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one patch with its own place, contrast, slice thickness, slice phase, noise and flips.

    Args:
        subjects: subjects to draw from.
        settings: augmentation; its noise takes the place of the acquisition's.
        simulation: acquisition that the patch imitates.
        classes: classes that the network segments.
        thickness_channel: add a second input channel with the distance between slices in mm.
        rng: source of randomness.

    Returns:
        The network's input, float32 (P, P, P, 1 or 2), and the truth, float32 (P, P, P, 1 + n): image and class maps.
    """
    subject = subjects[rng.integers(len(subjects))]
    size = settings.patch
    place = [
        int(np.clip(c - rng.integers(size), 0, n - size))
        for c, n in zip(subject.centres[rng.integers(len(subject.centres))], subject.image.shape, strict=True)
    ]
    window = tuple(slice(start, start + size) for start in place)
    thickness = rng.uniform(*settings.thickness_range_mm(simulation.slice_mm))
    if settings.thickness_mm is not None:
        simulation = simulation.with_thickness(round(float(thickness), 1))
    truth, interpolated = _degraded(subject, place, simulation, settings, rng)
    flips = tuple("xyz".index(axis) for axis in settings.flips if rng.random() < 0.5)
    segmentation = classes.one_hot(subject.labels[window], _sides(subject, window, mirrored=0 in flips))
    y = np.flip(np.concatenate([truth[..., None], segmentation], axis=-1), flips)
    x = np.flip(interpolated, flips)[..., None]
    if thickness_channel:
        x = np.concatenate([x, np.full_like(x, simulation.step_mm)], axis=-1)
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


def _sides(subject: TrainingSubject, window: tuple[slice, ...], mirrored: bool) -> np.ndarray | None:
    """Return the hemispheres of a window; mirroring exchanges left and right."""
    if subject.sides is None:
        return None
    sides = subject.sides[window]
    return np.where(sides > 0, 3 - sides, 0) if mirrored else sides


def _degraded(subject, place, simulation, settings, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return the patch of the truth and of the interpolated image; whole lines along the slice axis are degraded."""
    axis, size, start = simulation.axis, settings.patch, place[simulation.axis]
    # Leaving out the first voxels moves the slices against the anatomy.
    phase = int(rng.integers(min(start, int(simulation.step_mm / subject.spacing_mm)) + 1))
    block = [slice(first, first + size) for first in place]
    block[axis] = slice(phase, None)
    lines = _contrast(subject, tuple(block), settings, rng)
    if settings.blur:
        lines = ndimage.gaussian_filter(lines, rng.uniform(0, settings.blur) / subject.spacing_mm, truncate=3)
    if settings.bias:
        lines = lines * random_ramp(lines.shape, settings.bias, rng)
    if rng.random() < settings.stripped:
        lines = np.where(np.isin(subject.labels[tuple(block)], OUTER), np.float32(0), lines)
    down, up = simulation.matrices(lines.shape[axis], subject.spacing_mm)
    slices = apply_along(lines, down, axis)
    if settings.motion:
        slices = jitter_slices(slices, rng.uniform(0, settings.motion), rng, axis)
    slices = add_rician(slices, rng.uniform(0, settings.noise), rng)
    rows = slice(start - phase, start - phase + size)
    window = tuple(rows if other == axis else slice(None) for other in range(3))
    return lines[window], apply_along(slices, up[rows], axis)


def _contrast(subject, block, settings, rng) -> np.ndarray:
    """Return a block of the image with the contrast of another acquisition."""
    lines = subject.image[block]
    if settings.contrast_model == "none":
        return lines
    if settings.contrast_model == "physics" and rng.random() < settings.physics_share:
        lines = resynthesise(lines, subject.labels[block], subject.signals, draw_signals(rng))
    return exponent(lines, rng.uniform(1 - settings.contrast, 1 + settings.contrast))


def patch_dataset(
    subjects: list[TrainingSubject],
    settings: TrainingSettings,
    simulation: Simulation,
    classes: Classes,
    thickness_channel: bool,
    seed: int,
    start: int,
) -> tf.data.Dataset:
    """Return the endless stream of patches, see `draw_patch`.

    Args:
        subjects: subjects to draw from.
        settings: augmentation.
        simulation: acquisition that the patches imitate.
        classes: classes that the network segments.
        thickness_channel: see `draw_patch`.
        seed: seed of the stream.
        start: number of the first patch.
    """
    size = settings.patch
    shapes = (size, size, size, 1 + thickness_channel), (size, size, size, 1 + classes.channels)

    def draw(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([seed, int(index)])
        return draw_patch(subjects, settings, simulation, classes, thickness_channel, rng)

    def as_tensors(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, y = tf.numpy_function(draw, [index], (tf.float32, tf.float32), stateful=False)
        return tf.ensure_shape(x, shapes[0]), tf.ensure_shape(y, shapes[1])

    numbers = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    return numbers.map(as_tensors, num_parallel_calls=cores(), deterministic=True)
