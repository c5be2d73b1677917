"""Random training patches, drawn on the fly without writing to disk.

Patch number i depends on (seed, i) only, so that a resumed training sees the same patches as an uninterrupted one.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from segsrgan_core.classes import Classes
from segsrgan_core.cores import cores
from segsrgan_core.imaging.contrast import exponent
from segsrgan_core.imaging.geometry import apply_along
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.imaging.noise import add_rician, move_slices, random_ramp
from segsrgan_core.imaging.resynthesis import OUTER, draw_signals, resynthesise, tissue_signals
from segsrgan_core.settings import TrainingSettings
from segsrgan_core.simulation import Simulation

N_CENTRES = 20_000
LARGEST_TURN = 25.0  # degrees about each axis
STRETCH = (0.85, 1.2)  # along each axis
MARGIN_SLICES = 3  # beyond a turned patch
ORDINARY = {"turned": 0.0, "motion_mm": 0.0, "gaps": 0.0, "noise": 0.03}  # settings of an image as most are
MOVING = 0.5  # share of the patches with motion between slices


@dataclass(frozen=True)
class TrainingSubject:
    """One subject in memory, in RAS+ order."""

    name: str
    image: np.ndarray  # float32 (X, Y, Z), high resolution, scaled so that its interpolated image has scale 1
    labels: np.ndarray  # uint8 (X, Y, Z), drawem9 numbers
    sides: np.ndarray | None  # uint8 (X, Y, Z), 1 left, 2 right, 0 outside the skull; None if they are not learnt
    signals: np.ndarray  # float32 (10,), median signal of each label in the image
    centres: np.ndarray  # int (N, 3), voxels that patches may contain as their anchor
    spacing_mm: float  # isotropic voxel size


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
    """Scale a subject's image and choose the places of its patches, around the classes that the network segments.

    Arrays are those of `TrainingSubject`, the image in any scale: what the simulation makes of it, interpolated, gets
    the intensity scale 1. An image smaller than a patch is mirrored to its size. The seed chooses the centres.
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

    It imitates the acquisition of `simulation`, with the noise of the settings. `thickness_channel` adds a second input
    channel with the distance between slices in mm. Returned are the network's input, float32 (P, P, P, 1 or 2), and the
    truth, float32 (P, P, P, 1 + n): image and class maps.
    """
    subject = subjects[rng.integers(len(subjects))]
    size = settings.patch
    place = [
        int(np.clip(c - rng.integers(size), 0, n - size))
        for c, n in zip(subject.centres[rng.integers(len(subject.centres))], subject.image.shape, strict=True)
    ]
    if settings.ordinary and rng.random() < settings.ordinary:
        settings = settings.model_copy(update=ORDINARY)
    simulation = _acquisition(settings, simulation, rng)
    cut = _turned if settings.turned and rng.random() < settings.turned else _straight
    block = cut(subject, place, size, simulation, rng)
    truth, interpolated = _degraded(block, subject, settings, simulation, rng)
    flips = tuple("xyz".index(axis) for axis in settings.flips if rng.random() < 0.5)
    sides = block.sides
    if sides is not None:
        sides = sides[block.window]
        sides = np.where(sides > 0, 3 - sides, 0) if 0 in flips else sides  # mirroring exchanges left and right
    segmentation = classes.one_hot(block.labels[block.window], sides)
    y = np.flip(np.concatenate([truth[..., None], segmentation], axis=-1), flips)
    x = np.flip(interpolated, flips)[..., None]
    if thickness_channel:
        x = np.concatenate([x, np.full_like(x, simulation.step_mm)], axis=-1)
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


def numbered_patch(seed: int, number: int, *arguments: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return patch `number` of the stream of a seed; `arguments` are those of `draw_patch` but the last."""
    return draw_patch(*arguments, np.random.default_rng([seed, number]))


def _acquisition(settings: TrainingSettings, simulation: Simulation, rng: np.random.Generator) -> Simulation:
    """Draw the slices' thickness, plane, distance and profile, each as far as the settings vary it."""
    thickness = rng.uniform(*settings.thickness_range_mm(simulation.slice_mm))
    if settings.thickness_mm is not None:
        simulation = simulation.with_thickness(round(float(thickness), 1))
    if settings.planes is not None:
        simulation = simulation.model_copy(update={"plane": settings.planes[rng.integers(len(settings.planes))]})
    if settings.gaps:
        distance = simulation.step_mm * rng.uniform(1 - settings.gaps, 1 + settings.gaps)
        profile = ("gaussian", "box")[rng.integers(2)]
        simulation = simulation.model_copy(update={"distance_mm": round(float(distance), 1), "profile": profile})
    return simulation


class _Block(NamedTuple):
    """The part of a subject that a patch is made from: whole lines along the slice axis."""

    image: np.ndarray
    labels: np.ndarray
    sides: np.ndarray | None
    window: tuple[slice, ...]  # of the patch in the block


def _straight(subject, place, size, simulation, rng) -> _Block:
    """Cut the block out of the subject; leaving out the first voxels moves the slices against the anatomy."""
    axis, start = simulation.axis, place[simulation.axis]
    phase = int(rng.integers(min(start, int(simulation.step_mm / subject.spacing_mm)) + 1))
    block = [slice(first, first + size) for first in place]
    block[axis] = slice(phase, None)
    parts = (None if a is None else a[tuple(block)] for a in (subject.image, subject.labels, subject.sides))
    return _Block(*parts, _window(size, axis, start - phase))


def _turned(subject, place, size, simulation, rng) -> _Block:
    """Cut the block out of the subject's head turned about all axes and stretched along them."""
    axis, step = simulation.axis, simulation.step_mm / subject.spacing_mm
    before, after = MARGIN_SLICES * np.array([step, step]) + rng.uniform(0, step, 2)
    shape, corner = [size] * 3, np.zeros(3)
    shape[axis], corner[axis] = size + int(before) + int(after), int(before)
    turn = Rotation.from_euler("xyz", rng.uniform(-LARGEST_TURN, LARGEST_TURN, 3), degrees=True).as_matrix()
    matrix = turn / rng.uniform(*STRETCH, 3)
    offset = np.array(place) + (size - 1) / 2 - matrix @ (corner + (size - 1) / 2)

    def part(array: np.ndarray, order: int) -> np.ndarray:
        return ndimage.affine_transform(array, matrix, offset, tuple(shape), order=order)

    sides = None if subject.sides is None else part(subject.sides, 0)
    return _Block(part(subject.image, 1), part(subject.labels, 0), sides, _window(size, axis, int(before)))


def _window(size: int, axis: int, first: int) -> tuple[slice, ...]:
    return tuple(slice(first, first + size) if other == axis else slice(None) for other in range(3))


def _degraded(block, subject, settings, simulation, rng) -> tuple[np.ndarray, np.ndarray]:
    """Return the patch of the truth and of the interpolated image; whole lines along the slice axis are degraded."""
    axis = simulation.axis
    lines = _contrast(block, subject, settings, rng)
    if settings.blur:
        lines = ndimage.gaussian_filter(lines, rng.uniform(0, settings.blur) / subject.spacing_mm, truncate=3)
    if settings.bias:
        lines = lines * random_ramp(lines.shape, settings.bias, rng)
    if rng.random() < settings.stripped:
        lines = np.where(np.isin(block.labels, OUTER), np.float32(0), lines)
    down, up = simulation.matrices(lines.shape[axis], subject.spacing_mm)
    slices = apply_along(lines, down, axis)
    if settings.motion_mm and rng.random() < MOVING:
        slices = move_slices(slices, rng.uniform(0, settings.motion_mm) / subject.spacing_mm, rng, axis)
    slices = add_rician(slices, rng.uniform(0, settings.noise), rng)
    return lines[block.window], apply_along(slices, up[block.window[axis]], axis)


def _contrast(block, subject, settings, rng) -> np.ndarray:
    """Return the block of the image with the contrast of another acquisition."""
    lines = block.image
    if settings.contrast_model == "none":
        return lines
    if settings.contrast_model == "physics" and rng.random() < settings.physics_share:
        signals = draw_signals(rng, settings.tissue_spread)
        lines = resynthesise(lines, block.labels, subject.signals, signals)
    return exponent(lines, rng.uniform(1 - settings.contrast, 1 + settings.contrast))


def patch_dataset(
    subjects: list[TrainingSubject],
    settings: TrainingSettings,
    simulation: Simulation,
    classes: Classes,
    thickness_channel: bool,
    seed: int,
    start: int,
) -> Any:
    """Return the endless stream of patches from the number `start` on as a `tf.data.Dataset`, see `draw_patch`."""
    import tensorflow as tf

    size = settings.patch
    shapes = (size, size, size, 1 + thickness_channel), (size, size, size, 1 + classes.channels)

    def draw(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return numbered_patch(seed, int(index), subjects, settings, simulation, classes, thickness_channel)

    def as_tensors(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x, y = tf.numpy_function(draw, [index], (tf.float32, tf.float32), stateful=False)
        return tf.ensure_shape(x, shapes[0]), tf.ensure_shape(y, shapes[1])

    numbers = tf.data.Dataset.range(start, np.iinfo(np.int64).max)
    return numbers.map(as_tensors, num_parallel_calls=cores(), deterministic=True)
