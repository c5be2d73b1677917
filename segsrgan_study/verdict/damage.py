"""Damage that thick-slice images come with, at random strength, to learn and test the verdict on heads of known volume.

Each kind takes a head and returns the image that a person would have been given; the true volume stays that of the
whole head.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage
from scipy.spatial.transform import Rotation

from segsrgan_core.imaging.geometry import through_plane_axis
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.imaging.noise import add_rician, random_ramp
from segsrgan_core.simulation import Simulation

Rng = np.random.Generator
AIR = 0.1  # of the intensity scale; below it is no head


@dataclass(frozen=True)
class Head:
    """A high-resolution head, and the acquisition that cuts it into thick slices."""

    image: Nifti1Image  # float32 (X, Y, Z), RAS+, intensities >= 0
    acquisition: Simulation  # undamaged

    def slices(self, rng: Rng, **changes) -> Nifti1Image:
        """Return thick slices by the acquisition with changes, such as `slice_mm=6.0`."""
        return self.acquisition.model_copy(update=changes).acquire(self.image, rng)


def _on_slices(change: Callable[[np.ndarray, int, Rng], np.ndarray]) -> Callable[[Head, Rng], Nifti1Image]:
    """Return the kind of damage that changes the array of the thick slices; `change` gets the axis of the stack."""

    @wraps(change)
    def damaged(head: Head, rng: Rng) -> Nifti1Image:
        low = head.slices(rng)
        array = change(np.asarray(low.dataobj, np.float32).copy(), through_plane_axis(low), rng)
        return Nifti1Image(array.astype(np.float32), low.affine)

    return damaged


def nothing(head: Head, rng: Rng) -> Nifti1Image:
    """No damage, slices of 2 to 4.5 mm."""
    return head.slices(rng, slice_mm=rng.uniform(2, 4.5))


def thick_slices(head: Head, rng: Rng) -> Nifti1Image:
    """Slices of 5 to 9 mm."""
    return head.slices(rng, slice_mm=rng.uniform(5, 9))


def other_plane(head: Head, rng: Rng) -> Nifti1Image:
    """Coronal or sagittal slices."""
    return head.slices(rng, plane=rng.choice(["coronal", "sagittal"]))


def oblique(head: Head, rng: Rng) -> Nifti1Image:
    """A head turned by up to 60 degrees about any axis."""
    axis = rng.standard_normal(3)
    turn = Rotation.from_rotvec(np.deg2rad(rng.uniform(5, 60)) * axis / np.linalg.norm(axis)).as_matrix()
    array = np.pad(np.asarray(head.image.dataobj), 10)
    middle = (np.array(array.shape) - 1) / 2
    turned = ndimage.affine_transform(array, turn, middle - turn @ middle, order=1)
    return Head(Nifti1Image(turned, head.image.affine), head.acquisition).slices(rng)


def wrong_voxels(head: Head, rng: Rng) -> Nifti1Image:
    """A header that says 0.4 to 2.5 times the distance between slices, or the size of the voxels, and is wrong."""
    low = head.slices(rng)
    factor, size = np.exp(rng.choice([-1, 1]) * rng.uniform(np.log(1.15), np.log(2.5))), np.ones(4)
    axis = through_plane_axis(low)
    size[: 3 if rng.random() < 0.3 else 0] = factor
    size[axis] = factor
    return Nifti1Image(np.asarray(low.dataobj), low.affine @ np.diag(size))


def cut(head: Head, rng: Rng) -> Nifti1Image:
    """A field of view that ends 5 to 40 % of the head's extent before it does, on one side."""
    low = head.slices(rng)
    array = np.asarray(low.dataobj)
    (box,) = ndimage.find_objects((array > AIR * intensity_scale(array)).astype(np.uint8))
    axis = rng.integers(3)
    first, last = box[axis].start, box[axis].stop
    off = max(1, round(rng.uniform(0.05, 0.4) * (last - first)))
    keep = [slice(None)] * 3
    keep[axis] = slice(first + off, None) if rng.random() < 0.5 else slice(None, last - off)
    return low.slicer[tuple(keep)]


@_on_slices
def dark_slices(array, axis, rng):
    """One to ten slices that are empty or dark."""
    chosen = rng.choice(array.shape[axis], min(rng.integers(1, 11), array.shape[axis] // 3), replace=False)
    np.moveaxis(array, axis, 0)[chosen] *= np.float32(rng.choice([0.0, rng.uniform(0.1, 0.7)]))
    return array


@_on_slices
def displaced_slices(array, axis, rng):
    """Slices that lie up to 6 voxels (sd) beside their place, a tenth to all of them."""
    stack, sd, share = np.moveaxis(array, axis, 0), rng.uniform(0.5, 6), rng.uniform(0.1, 1)
    for one in np.flatnonzero(rng.random(len(stack)) < share):
        stack[one] = ndimage.shift(stack[one], rng.normal(0, sd, 2), order=1)
    return array


@_on_slices
def noise(array, axis, rng):
    """Rician noise of 3 to 40 % of the bright tissue."""
    return add_rician(array, rng.uniform(0.03, 0.4) * intensity_scale(array), rng)


@_on_slices
def wide_noisy_field(array, axis, rng):
    """A field that is a tenth to a half wider within the slices, and noise all over it."""
    margins = (rng.uniform(0.05, 0.25, (3, 2)) * np.reshape(array.shape, (3, 1))).astype(int)
    margins[axis] = 0
    return add_rician(np.pad(array, margins), rng.uniform(0.03, 0.2) * intensity_scale(array), rng)


@_on_slices
def coil(array, axis, rng):
    """A receive coil whose field spans up to a factor of e^4 along each axis."""
    return array * random_ramp(array.shape, rng.uniform(0.3, 2.0), rng)


@_on_slices
def negative_values(array, axis, rng):
    """Intensities with the mean taken off, of the whole field or of the head, over their standard deviation."""
    inside = array > AIR * intensity_scale(array)
    some = array[inside] if rng.random() < 0.5 else array
    return (array - rng.uniform(0.3, 1) * some.mean()) / some.std()


@_on_slices
def spikes(array, axis, rng):
    """Bright fat around the head, or single voxels that are much brighter than all others."""
    scale = intensity_scale(array)
    if rng.random() < 0.5:
        inside = array > AIR * scale
        depth = ndimage.distance_transform_edt(inside, sampling=[4 if a == axis else 1 for a in range(3)])
        return np.where(inside & (depth < 5), array * rng.uniform(2, 6), array)
    flat = array.reshape(-1)
    flat[rng.choice(flat.size, int(rng.uniform(1e-4, 5e-3) * flat.size))] = scale * rng.uniform(3, 30)
    return array


@_on_slices
def other_contrast(array, axis, rng):
    """Contrast on its way to that of T1w, where fluid is dark: 30 to 100 %."""
    scale, share = intensity_scale(array), rng.uniform(0.3, 1)
    inverse = np.clip(1.1 * scale - array, 0.05 * scale, None)
    return np.where(array > AIR * scale, (1 - share) * array + share * inverse, array)


@_on_slices
def wrapped(array, axis, rng):
    """A field that is too small within the slices: what is outside of it lies on the other side."""
    along = rng.choice([a for a in range(3) if a != axis])
    lines = np.moveaxis(array, along, 0)
    off = round(rng.uniform(0.05, 0.3) * len(lines))
    folded = lines[off:].copy()
    folded[-off:] += lines[:off]
    return np.moveaxis(folded, 0, along)


@_on_slices
def ghosts(array, axis, rng):
    """Copies of the head, shifted within the slices, of 10 to 50 % of its brightness."""
    along = rng.choice([a for a in range(3) if a != axis])
    shift = round(rng.uniform(0.1, 0.5) * array.shape[along])
    return array + rng.uniform(0.1, 0.5) * np.roll(array, shift, axis=along)


IN_ORDER = (nothing, cut, dark_slices, displaced_slices, noise, wide_noisy_field, coil, negative_values, spikes)
IN_ORDER += (other_contrast, thick_slices, wrong_voxels, other_plane, oblique, wrapped, ghosts)
# Name in words: function of a head and a source of randomness; the first is none.
KINDS: dict[str, Callable[[Head, Rng], Nifti1Image]] = {kind.__name__.replace("_", " "): kind for kind in IN_ORDER}
