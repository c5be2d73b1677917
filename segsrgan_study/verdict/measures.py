"""What can be measured on an image and its segmentation without knowing the truth.

Arrays are (X, Y, Z). The content of the skull is the network's, or for a network without hemispheres what it labelled,
with holes filled. "Bright" is the 95th percentile of the image within it. The tissue is the cortex, or else the
network's first class.
"""

import itertools
from contextlib import suppress

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Image
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from segsrgan_core.classes import NUMBERS, main_tissue
from segsrgan_core.drift import shell_around
from segsrgan_core.imaging.geometry import spacing_mm, through_plane_axis, voxel_volume_ml
from segsrgan_core.imaging.intensity import intensity_scale
from segsrgan_core.segmenter import Segmentation
from segsrgan_study.motion import offsets_mm
from segsrgan_study.shapes.topology import euler_number
from segsrgan_study.verdict.borders import NORMAL_MAD, fitted_share

AIR = 0.05  # of the intensity scale, at the most
ENDS = 0.15  # share of the slices with a head, at either end
# From the skull's middle to cerebellum and brainstem, RAS+; 21 to 44 weeks: 25 deg.
UPRIGHT = np.array([0.0, -0.5, -0.87])
FEWEST_POINTS = 100  # of a side
BEYOND = 0.01  # of the skull's content, beyond a side of the field
FALL = 1.5  # of the power, decades; at most 0.7 in phantoms and fetal weeks, 1.7 and more where zeros were filled in
JUMP_BLUR_MM = 0.8  # within slices
BLUR_MM = 1.0  # within slices, before displacements are measured
TERM_ML = 350.0  # skull's content; younger white matter has layers, which `borders` takes for cortex (1.5 in week 34)
LARGE = 0.25  # share of the largest slice's area from which a slice is measured
MEASURES = {
    "snr": "signal-to-noise ratio: median of the head over the noise's standard deviation within slices",
    "contrast": "contrast at the tissue's edge: (shell - tissue) / (shell + tissue), a shell of two voxels",
    "tail": "brightest against darkest within the skull: log of (p98 - p50) / (p50 - p2); below 0 fluid is dark",
    "air": "10th percentile of the field over bright: noise that fills it",
    "lowest": "lowest intensity over bright",
    "brightest": "99.9th percentile of the field over bright",
    "rim": "share of the field's outermost voxels within slices that are brighter than a tenth of bright",
    "gradient": "range of a linear fit to the log intensity within the skull: the coil's field",
    "shift_mm": "largest displacement of a slice against the mean of its neighbours, in mm",
    "shift_rms_mm": "root mean square of these displacements, in mm",
    "flicker": "largest change of brightness from one slice to the next, log",
    "jump": "difference of two neighbouring slices over that of those beside them, the largest; slices brought back",
    "detail_mm": "finest detail within slices, in mm: the voxel, or where zero filling or a blur ends the spectrum",
    "slice_mm": "distance between slices, in mm",
    "copies": "slices that are exact copies of the one before; empty ones do not count",
    "skull_ml": "content of the skull in mL, unknown without hemispheres",
    "share": "volume of the tissue over that of the skull's content",
    "cut_cm2": "skull's content in the outermost voxels of one side of the field, in cm2, the largest of six",
    "lost": "what lies beyond these sides over the skull's content, as if it were a ball that they cut",
    "sides": "sides of the field beyond which more than 1 % of it lies",
    "solid": "skull's content over its convex hull",
    "bare": "share of the outline of the skull's content without CSF, unknown to a network that does not know it",
    "dark": "share of what was segmented that lies in the dark background",
    "asymmetry": "left minus right over left plus right of the tissue, without sign",
    "pieces": "share of the tissue outside its largest piece",
    "euler": "Euler number of the tissue per mL of it: pieces - handles + cavities",
    "sheet_mm": "twice the volume over the surface (of voxel faces) of the tissue, in mm; the thickness of a sheet",
    "fitted": "cortex that explains the slices best over that found, see `borders`; unknown in noise and small heads",
    "misfit": "what the slices differ from that fit, over the contrast of cortex and white matter",
    "doubt": "expected volume of wrong labels over the volume of the tissue",
    "disagreement": "disagreement of the passes over the volume of the tissue",
    "length": "standard deviation of the skull's content along y over that along x",
    "height": "standard deviation of the skull's content along z over that along x",
    "stem": "brainstem over the skull's content, unknown to a network that does not know it",
    "tilt_deg": "angle of an upright head's direction from the skull's middle to the hindbrain with the one found",
    "turned_deg": "angle between the direction from left to right and the x axis",
    "upright": "how far the outline is narrower in front and on top, a third moment; negative if it is the other way",
    "change": "root mean square of super-resolved minus interpolated image within the skull, over bright",
}


def measures(image: Nifti1Image, still: Nifti1Image, result: Segmentation) -> dict[str, float]:
    """Return all `MEASURES` of an image, float32 in any orientation, and of its segmentation; nan where unknown.

    `still` is the image with its slices brought back, see `motion`.
    """
    inside = skull_content(result)
    to_result = np.linalg.inv(result.labels.affine) @ image.affine
    low = ndimage.affine_transform(inside.astype(np.uint8), to_result, output_shape=image.shape, order=0).astype(bool)
    found = acquired(image, low) | {"jump": largest_jump(still)} | segmented(result, inside)
    if found["skull_ml"] >= TERM_ML:
        probabilities = {name: np.asarray(p.dataobj, np.float32) for name, p in result.probabilities.items()}
        found |= fitted_share(still, result.interpolated, probabilities)
    return {name: float(found.get(name, np.nan)) for name in MEASURES}


def skull_content(result: Segmentation) -> np.ndarray:
    """Return the content of the skull on the grid of the result, bool (X, Y, Z)."""
    if result.sides is not None and np.any(result.sides.dataobj):
        return np.asarray(result.sides.dataobj) > 0
    return ndimage.binary_fill_holes(np.asarray(result.labels.dataobj) > 0)


def acquired(image: Nifti1Image, inside: np.ndarray) -> dict[str, float]:
    """Return the measures of the image as it was given.

    Args:
        image: thick slices.
        inside: bool on its grid, content of the skull.
    """
    array, axis = np.asarray(image.dataobj, np.float32), through_plane_axis(image)
    head = array > 0.1 * intensity_scale(array)
    sd = noise_sd(array, head, axis)
    found = {"detail_mm": detail_mm(array, spacing_mm(image), axis)}
    found |= {"slice_mm": spacing_mm(image)[axis], "snr": np.median(array[head]) / sd if sd else np.nan}
    slices = itertools.pairwise(np.moveaxis(array, axis, 0))
    found |= {"copies": sum(np.ptp(one) > 0 and np.array_equal(one, two) for one, two in slices)}
    if inside.sum() < 100:
        return found
    low, middle, bright, top = np.percentile(array[inside], [2, 50, 95, 98])
    bright = max(float(bright), 1e-6 * float(np.abs(array).max()))
    rims = [array.take(place, a) for a in range(3) if a != axis for place in (0, -1)]
    found |= {"air": np.percentile(array, 10) / bright, "lowest": array.min() / bright}
    found |= {"brightest": np.percentile(array, 99.9) / bright}
    found |= {"rim": np.mean([(rim > 0.1 * bright).mean() for rim in rims])}
    found |= {"tail": np.log(max(top - middle, 1e-3 * bright) / max(middle - low, 1e-3 * bright))}
    shifts_mm = displacements_mm(image, inside)
    found |= {"flicker": brightness_jump(array, axis), "gradient": coil_gradient(array, inside, bright)}
    if len(shifts_mm):
        found |= {"shift_mm": shifts_mm.max(), "shift_rms_mm": np.sqrt(np.mean(shifts_mm**2))}
    return found


def noise_sd(array: np.ndarray, inside: np.ndarray, slice_axis: int) -> float:
    """Estimate the standard deviation of the noise within slices by a Laplacian and the median absolute value.

    Args:
        array: float32 (X, Y, Z).
        inside: bool (X, Y, Z), voxels to measure in.
        slice_axis: slices are stacked along it.

    Source: Immerkaer, Computer Vision and Image Understanding 64, 1996; with the median in place of the mean.
    """
    residual = array
    for axis in {0, 1, 2} - {slice_axis}:
        residual = ndimage.convolve1d(residual, [1.0, -2.0, 1.0], axis=axis, mode="nearest")
    return float(np.median(np.abs(residual[inside]))) / (6 * NORMAL_MAD)  # 6: norm of the kernel


def detail_mm(array: np.ndarray, sizes_mm: np.ndarray, slice_axis: int) -> float:
    """Return the finest detail within slices in mm, of the axis where it is coarser.

    It is the voxel's size, or half of the wavelength at which the power spectrum falls by `FALL` within a twelfth of
    it: there ends what was acquired, where zeros were filled in, or what a blur left.

    Args:
        array: float32 (X, Y, Z).
        sizes_mm: (3,) voxel sizes.
        slice_axis: slices are stacked along it.
    """
    found = []
    for axis in {0, 1, 2} - {slice_axis}:
        lines = np.moveaxis(array, axis, -1)
        waves = np.fft.rfft(lines * np.hanning(lines.shape[-1]).astype(np.float32))
        power = np.square(np.abs(waves).astype(float)).mean((0, 1))
        level = ndimage.uniform_filter1d(np.log10(power + np.finfo(np.float32).tiny), 3)
        first, width = len(power) // 8, max(2, len(power) // 12)
        falls = (level[:-width] - level[width:])[first:]
        falls_off = falls.max(initial=0.0) > FALL
        found.append(sizes_mm[axis] * ((len(power) - 1) / (first + np.argmax(falls) + width / 2) if falls_off else 1))
    return max(found)


def largest_jump(still: Nifti1Image) -> float:
    """Return by how much two neighbouring slices differ, over the more different of the pairs beside them, the largest.

    It is about 1 where anatomy changes evenly, and more where slices are missing or out of order, or the head turned.
    Each slice is scaled by the mean of the head in it; only slices with half of the largest one's area count.
    """
    axis = through_plane_axis(still)
    stack, sizes_mm = np.moveaxis(np.asarray(still.dataobj, np.float32), axis, 0), np.delete(spacing_mm(still), axis)
    head = stack > 0.1 * intensity_scale(stack)
    areas = head.sum((1, 2))
    large = areas > areas.max() / 2
    levels = np.where(large, (stack * head).sum((1, 2)) / np.maximum(areas, 1), 1)
    smooth = [ndimage.gaussian_filter(one, JUMP_BLUR_MM / sizes_mm) / by for one, by in zip(stack, levels, strict=True)]
    apart = np.zeros(len(stack) - 1)
    for at in np.flatnonzero(large[1:] & large[:-1]):
        apart[at] = np.sqrt(np.square(smooth[at + 1] - smooth[at])[head[at] | head[at + 1]].mean())
    beside = np.maximum(apart[:-2], apart[2:])
    known = np.minimum(apart[:-2], apart[2:]) > 0
    return float(max(apart[1:-1][known] / beside[known], default=np.nan))


def coil_gradient(array: np.ndarray, inside: np.ndarray, bright: float) -> float:
    """Return the range of a linear fit to the logarithm of the intensity within a mask: log of largest over smallest.

    Args:
        array: float32 (X, Y, Z).
        inside: bool (X, Y, Z).
        bright: intensity of bright tissue; what is below 2 % of it counts as that.
    """
    points = np.argwhere(inside)[:: max(1, int(inside.sum()) // 20_000)]
    values = np.log(np.maximum(array[tuple(points.T)], 0.02 * bright))
    design = np.column_stack([np.ones(len(points)), points - points.mean(0)])
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(np.ptp(fitted))


def displacements_mm(image: Nifti1Image, inside: np.ndarray) -> np.ndarray:
    """Return how far each slice lies from the mean of its two neighbours in mm, of those that are large enough.

    Args:
        image: thick slices.
        inside: bool on its grid.
    """
    axis = through_plane_axis(image)
    stack, inside = (np.moveaxis(one, axis, 0) for one in (np.asarray(image.dataobj, np.float32), inside))
    areas = inside.sum((1, 2))
    offsets = offsets_mm(stack, inside, np.delete(spacing_mm(image), axis), BLUR_MM)
    far = np.linalg.norm(offsets[areas > LARGE * areas.max(initial=0)], axis=1)
    return far[np.isfinite(far)]


def brightness_jump(array: np.ndarray, slice_axis: int) -> float:
    """Return the largest change of brightness from one slice to the next, absolute log, at most log 20.

    The brightness is the 99th percentile of a slice; the outer 15 % of the slices with a head at either end do not
    count, where the head itself begins and ends.

    Args:
        array: float32 (X, Y, Z).
        slice_axis: slices are stacked along it.
    """
    levels = np.percentile(array, 99, axis=tuple({0, 1, 2} - {slice_axis}))
    top = max(float(np.median(levels[levels > levels.max() / 10])), 0.0) if levels.max() > 0 else 0.0
    head = np.flatnonzero(levels > 0.3 * top)
    off = round(ENDS * (head[-1] - head[0] + 1)) if len(head) else 0
    within = np.clip(levels[head[0] + off : head[-1] + 1 - off], top / 20, 20 * top) if len(head) else levels[:0]
    return float(np.abs(np.diff(np.log(within))).max(initial=0.0)) if top > 0 else 0.0


def segmented(result: Segmentation, inside: np.ndarray) -> dict[str, float]:
    """Return the measures of a segmentation.

    Args:
        result: of the segmenter.
        inside: bool (X, Y, Z) on its grid, content of the skull.
    """
    name, voxel_ml = main_tissue(result.probabilities), voxel_volume_ml(result.labels)
    labels, interpolated = (np.asarray(one.dataobj) for one in (result.labels, result.interpolated))
    tissue, skull_ml = labels == NUMBERS[name], result.volumes_ml.get("intracranial", np.nan)
    face_cm2 = 10 * voxel_ml / spacing_mm(result.labels)  # of a voxel, across each axis
    cuts_cm2 = [face_cm2[axis] * inside.take(place, axis).sum() for axis in range(3) for place in (0, -1)]
    found = {"skull_ml": skull_ml, "cut_cm2": max(cuts_cm2)}
    if not tissue.any() or not inside.any():
        return found
    lost, outline = beyond(np.array(cuts_cm2), inside.sum() * voxel_ml), inside & ~ndimage.binary_erosion(inside)
    found |= {"lost": lost.sum(), "sides": (lost > BEYOND).sum()}
    with suppress(QhullError):  # of a sheet
        found |= {"solid": inside.sum() / ConvexHull(np.argwhere(outline)).volume}
    (box,) = ndimage.find_objects(tissue.astype(np.uint8))
    pieces, count = ndimage.label(tissue[box], np.ones((3, 3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    faces = [np.diff(np.pad(tissue[box], 1).astype(np.int8), axis=axis) != 0 for axis in range(3)]
    surface_cm2 = sum(area * face.sum() for area, face in zip(face_cm2, faces, strict=True))
    scale, lowest = intensity_scale(interpolated), min(0.0, float(np.percentile(interpolated, 2)))
    dark = interpolated < lowest + AIR * (scale - lowest)
    bright = max(float(np.percentile(interpolated[inside], 95)), 1e-6)
    ml, segmented_ = result.volumes_ml[name], labels > 0
    if "csf" in result.probabilities:
        found |= {"bare": 1 - np.mean(labels[outline] == NUMBERS["csf"])}
    found |= {"share": ml / skull_ml, "dark": (dark & segmented_).sum() / segmented_.sum()}
    found |= {"pieces": 1 - sizes.max() / sizes.sum(), "euler": euler_number(tissue[box]) / ml}
    found |= {"sheet_mm": 20 * ml / surface_cm2, "contrast": edge_contrast(interpolated, tissue)}
    found |= {"disagreement": result.disagreement_ml / ml}
    if result.uncertainty is not None:
        found |= {"doubt": voxel_ml * float(np.asarray(result.uncertainty.dataobj)[box].sum()) / ml}
    if f"left_{name}" in result.volumes_ml:
        found |= {"asymmetry": abs(result.volumes_ml[f"left_{name}"] - result.volumes_ml[f"right_{name}"]) / ml}
    places = np.argwhere(inside)
    points = nib.affines.apply_affine(result.labels.affine, places)
    if result.sides is not None:
        found |= posture(points, np.asarray(result.sides.dataobj)[tuple(places.T)])
    spread = points.std(0) if len(points) > 1 else np.full(3, np.nan)
    found |= {"length": spread[1] / max(spread[0], 1e-6), "height": spread[2] / max(spread[0], 1e-6)}
    found |= {"stem": result.volumes_ml.get("brainstem", np.nan) / skull_ml}
    hindbrain = np.argwhere(np.isin(labels, [NUMBERS["cerebellum"], NUMBERS["brainstem"]]))
    if len(hindbrain) and len(points):
        below = nib.affines.apply_affine(result.labels.affine, hindbrain).mean(0) - points.mean(0)
        cosine = below @ UPRIGHT / (np.linalg.norm(below) * np.linalg.norm(UPRIGHT))
        found |= {"tilt_deg": np.degrees(np.arccos(np.clip(cosine, -1, 1)))}
    change = np.asarray(result.image.dataobj)[inside] - interpolated[inside]
    return found | {"change": float(np.sqrt(np.mean(np.square(change)))) / bright}


def beyond(cuts_cm2: np.ndarray, ml: float) -> np.ndarray:
    """Return the caps (n,) behind cuts through a ball of the volume `ml`, over that volume; at most one half each."""
    radius = (3 * ml / (4 * np.pi)) ** (1 / 3)
    height = radius - np.sqrt(np.maximum(radius**2 - cuts_cm2 / np.pi, 0))
    return np.pi * height**2 * (3 * radius - height) / 3 / ml


def posture(points: np.ndarray, sides: np.ndarray) -> dict[str, float]:
    """Return how a head lies, by its outline; how far it nods does not count. Nothing if a side is as good as empty.

    Args:
        points: (N, 3) within the skull in mm, RAS+.
        sides: (N,), 1 left, 2 right.
    """
    halves = [points[sides == side] for side in (1, 2)]
    if min(map(len, halves)) < FEWEST_POINTS:
        return {}
    across = halves[1].mean(0) - halves[0].mean(0)
    points = points - points.mean(0)
    axis = np.linalg.eigh(np.cov(points[:, 1:].T))[1][:, 1]  # the longer one of y and z, forwards
    y, z = axis * np.sign(axis[0]), np.array([-axis[1], axis[0]]) * np.sign(axis[0])
    x, y, z = (one / one.std() for one in (points[:, 0], points[:, 1:] @ y, points[:, 1:] @ z))
    return {
        "turned_deg": np.degrees(np.arccos(across[0] / np.linalg.norm(across))),
        "upright": min(np.mean(y**3 - y * z**2), -np.mean(z * (x**2 + y**2))),
    }


def edge_contrast(array: np.ndarray, tissue: np.ndarray) -> float:
    """Return the contrast of a tissue with a shell around it, (shell - tissue) / (shell + tissue), from medians."""
    wide, shell = shell_around(tissue)
    if not shell.any():
        return float("nan")
    inner, outer = (float(np.median(array[wide][mask])) for mask in (tissue[wide], shell))
    return (outer - inner) / (outer + inner) if outer + inner else float("nan")
