"""The template of the phantoms: nilearn's ICBM152 maps, cut into the structures of drawem9 by rules in MNI space.

All constants are MNI millimetres. The maps are mirror-symmetric, so the shapes are given for |x|. An average brain
has a blurred grey ribbon; what stays sharp in it is where the sulci are (ridges of CSF, and the surface halfway
between two walls of white matter). The template therefore keeps the distance to the nearest CSF, and a subject's
cortex is the layer of chosen thickness below that surface.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy import ndimage

MARGIN = 8  # voxels kept around the brain
RIBBON, WHITE, CEREBELLUM, BRAINSTEM = 2, 3, 6, 8  # territories; VENTRICLE is added to one of them
VENTRICLE = 16
COARSE_MM = 2.0
PAD = 14  # coarse voxels added around `skull`, for the head outside of it

# Brainstem: z, centre y, half width in x and y of its elliptical section.
STEM = ((-72, -46, 9, 9), (-60, -42, 10, 9.5), (-50, -35, 12.5, 12), (-42, -29, 18, 15), (-33, -26, 20, 15.5))
STEM += ((-25, -23, 19, 15), (-16, -23, 17, 16), (-10, -24, 16.5, 16), (-3, -27, 13, 11))
# Chains of spheres: (|x|, y, z), radius.
CAUDATE_BODY = (((14, 6, 14), 6), ((17, -10, 20), 5), ((20, -24, 19), 4))
AMYGDALA = ((22.5, -3, -19), 9)
HIPPOCAMPUS = (AMYGDALA, ((25, -13, -19), 8), ((29, -24, -13), 7), ((29, -33, -5), 6.5), ((24, -39, 2), 5))


@dataclass(frozen=True)
class Anatomy:
    """Fields in MNI space, array axes RAS+, world = origin_mm + voxel (1 mm), or 2 mm for `skull`."""

    origin_mm: np.ndarray  # (3,) world coordinates of the first voxel of every field but `skull`
    pial: np.ndarray  # float32 (X, Y, Z), mm below the nearest CSF; negative within CSF
    nuclei: np.ndarray  # float32 (X, Y, Z), above 0.5 in deep grey, below -0.5 in hippocampus and amygdala
    white: np.ndarray  # float32 (X, Y, Z), white matter's share in [0, 1]
    fluid: np.ndarray  # float32 (X, Y, Z), CSF's share in [0, 1]
    territory: np.ndarray  # uint8 (X, Y, Z), whose tissue a place belongs to; plus VENTRICLE where CSF is ventricular
    skull: np.ndarray  # float32, mm to the closed surface of the brain, negative inside; PAD voxels larger on each side
    tissue_ml: float  # volume of brain tissue (pial > 0) in the template

    def sample(self, name: str, points_mm: np.ndarray) -> np.ndarray:
        """Read a field at MNI points (3, ...) in mm, linearly; of `territory` the nearest. It goes on at its edge."""
        origin = self.origin_mm.reshape((3,) + (1,) * (points_mm.ndim - 1))
        at = (points_mm - origin) / COARSE_MM + PAD if name == "skull" else points_mm - origin
        output, order = (np.uint8, 0) if name == "territory" else (np.float64, 1)
        return ndimage.map_coordinates(getattr(self, name), at, output=output, order=order, mode="nearest")


@lru_cache(maxsize=1)
def load_anatomy() -> Anatomy:
    """Build the template from nilearn's ICBM152 nonlinear symmetric 2009a maps (Fonov et al. 2011): about 10 s."""
    t1, grey, white, brain, origin = _maps()
    x, y, z = (o + np.arange(n, dtype=np.float32) for o, n in zip(origin, t1.shape, strict=True))
    x, y, z = np.abs(x)[:, None, None], y[None, :, None], z[None, None, :]
    fluid = np.clip(1 - grey - white, 0, 1) * brain
    tentorium = _tentorium(t1, brain, x, y, z)
    cerebellum, stem = _cerebellum(brain, tentorium, x, y, z), _brainstem(brain, x, y, z)
    deep, hippocampus = _nuclei(grey, brain & (fluid < 0.4) & ~stem, x, y, z)
    ventricles = _ventricles(fluid, x, y, z)
    core = _ellipsoid(x, y, z, (0, -10, 6), (18, 26, 18)) | ndimage.binary_dilation(ventricles, iterations=4)
    ribbon = brain & (ndimage.gaussian_filter(grey, 1.5) > 0.3) & ~(cerebellum | stem | deep | hippocampus | core)
    territory = np.where(ribbon, RIBBON, WHITE).astype(np.uint8)
    territory[cerebellum], territory[stem] = CEREBELLUM, BRAINSTEM
    # Outside of the brain every voxel has the territory of the nearest one inside.
    nearest = ndimage.distance_transform_edt(~brain, return_distances=False, return_indices=True)
    territory = territory[tuple(nearest)]
    territory += VENTRICLE * ndimage.binary_dilation(ventricles, iterations=2).astype(np.uint8)
    pial = _pial(grey, white, fluid, brain, ribbon, (y < -34) & (np.abs(z - tentorium) < 0.7))
    nuclei = ndimage.gaussian_filter(deep.astype(np.float32) - hippocampus.astype(np.float32), 0.8)
    tissue_ml = float(((pial > 0) & brain).sum()) / 1000
    return Anatomy(origin, pial, nuclei, white, fluid, territory, _skull(brain), tissue_ml)


def _maps() -> tuple[np.ndarray, ...]:
    from nilearn import datasets  # takes seconds to import

    names = ("template", "gm_template", "wm_template", "brain_mask")
    images = [getattr(datasets, f"load_mni152_{name}")(resolution=1) for name in names]
    arrays = [np.asarray(image.dataobj, dtype=np.float32) for image in images]
    found = ndimage.find_objects((arrays[3] > 0.5).astype(np.uint8))[0]
    box = tuple(slice(max(0, s.start - MARGIN), s.stop + MARGIN) for s in found)
    t1, grey, white, brain = (np.ascontiguousarray(array[box]) for array in arrays)
    origin = images[0].affine[:3, 3] + [s.start for s in box]
    return t1 / t1.max(), grey, white, brain > 0.5, origin


def _ellipsoid(x, y, z, centre, half, lean: float = 0.0) -> np.ndarray:
    across = (x - centre[0] - lean * (y - centre[1])) / half[0]
    return across**2 + ((y - centre[1]) / half[1]) ** 2 + ((z - centre[2]) / half[2]) ** 2 < 1


def _chain(x, y, z, spheres) -> np.ndarray:
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), bool)
    for (start, r0), (end, r1) in pairwise(spheres):
        way = np.subtract(end, start, dtype=np.float32)
        along = (x - start[0]) * way[0] + (y - start[1]) * way[1] + (z - start[2]) * way[2]
        t = np.clip(along / (way @ way), 0, 1)
        apart = sum((axis - p - t * d) ** 2 for axis, p, d in zip((x, y, z), start, way, strict=True))
        inside |= apart < (r0 + t * (r1 - r0)) ** 2
    return inside


def _tentorium(t1, brain, x, y, z) -> np.ndarray:
    """Height of the tentorium, (X, Y, 1): the darkest place of each column near a first guess, made smooth."""
    fall = np.clip((y + 60) / -30, 0, 1)
    guess = 1 - 14 * fall - (26 - 20 * fall) * (1 - np.exp(-x / 26)) - 4 * np.clip((y + 60) / 15, 0, 1)
    dark = ndimage.gaussian_filter(np.where(brain, t1, np.float32(0.8)), 0.7)
    darkest = np.argmin(dark + 0.12 * ((z - guess) / 7) ** 2, axis=2)
    return ndimage.gaussian_filter(darkest + z.ravel()[0], 2.0)[..., None]


def _cerebellum(brain, tentorium, x, y, z) -> np.ndarray:
    temporal = (x > 20) & (y > -36 - 0.5 * (x - 20)) & (z > -34)
    behind = (y < -33) & (z < tentorium) & ~temporal
    petrous = (z < -33) & (y < -17) & (x < 20 - 2 * (y + 17))
    return brain & (behind | petrous)


def _brainstem(brain, x, y, z) -> np.ndarray:
    table = np.asarray(STEM, np.float32)
    centre, half_x, half_y = (np.interp(z, table[:, 0], table[:, k]).astype(np.float32) for k in (1, 2, 3))
    below_thalamus = z < -3 - 0.35 * np.clip(y + 25, 0, None)
    return brain & ((x / half_x) ** 2 + ((y - centre) / half_y) ** 2 < 1) & below_thalamus


def _nuclei(grey, tissue, x, y, z) -> tuple[np.ndarray, np.ndarray]:
    thalamus = _ellipsoid(x, y, z, (11.5, -18, 7.5), (11, 16, 10.5))
    hypothalamus = _ellipsoid(x, y, z, (0, -8, -7), (9, 11, 8))
    caudate = _ellipsoid(x, y, z, (13, 13, 5), (8.5, 13, 13)) | _chain(x, y, z, CAUDATE_BODY)
    accumbens = _ellipsoid(x, y, z, (11, 10, -7), (9, 9, 8))
    pallidum = _ellipsoid(x, y, z, (20, -4, 0), (6, 9, 8), lean=-0.2)
    lentiform = _ellipsoid(x, y, z, (24.5, 1, 1.5), (9.5, 21, 14), lean=-0.22) & ((grey > 0.3) | pallidum)
    hippocampus = tissue & _chain(x, y, z, HIPPOCAMPUS) & (grey > 0.45)
    deep = tissue & ~hippocampus & (thalamus | hypothalamus | ((caudate | accumbens) & (grey > 0.35)) | lentiform)
    return deep, hippocampus


def _ventricles(fluid, x, y, z) -> np.ndarray:
    """Lateral, third and fourth ventricles: CSF away from the fissures and cisterns, in large connected parts."""
    lateral = (x < 42) & (y > -66) & (y < 42) & (z > -22) & (z < 36)
    fissure = (x < 4) & (y > 18)
    cistern = ((y < -24) & (x < 13) & (z < 16)) | ((z < -13) & (x < 25)) | ((x < 14) & (y < -38))
    sylvian = (x > 24) & (y > -22) & (z > -6)
    fourth = (x < 12) & (y > -52) & (y < -30) & (z > -52) & (z < -12)
    parts, _ = ndimage.label((fluid > 0.4) & ((lateral & ~fissure & ~cistern & ~sylvian) | fourth))
    return (np.bincount(parts.ravel())[parts] > 1000) & (parts > 0)


def _pial(grey, white, fluid, brain, ribbon, dura) -> np.ndarray:
    """Signed distance to CSF. Sulci: CSF itself, its ridges, and the surfaces midway between walls of white matter."""
    to_white = ndimage.distance_transform_edt(white <= 0.45).astype(np.float32)
    midway = np.clip(-ndimage.laplace(ndimage.gaussian_filter(to_white, 0.8)), 0, 1) * ribbon * (grey > 0.3)
    ridge = np.clip(-ndimage.gaussian_laplace(fluid, 1.0), 0, None)
    evidence = np.maximum(fluid / 0.45, np.where(ribbon, np.maximum(ridge / 0.2, midway / 0.7), 0))
    csf = (ndimage.gaussian_filter(evidence, 0.5) > 0.8) | ~brain | dura
    signed = ndimage.distance_transform_edt(~csf) - ndimage.distance_transform_edt(csf)
    return ndimage.gaussian_filter(signed.astype(np.float32), 0.6)


def _skull(brain) -> np.ndarray:
    """Signed distance to the brain closed over its fissures (radius 8 mm), on a grid of COARSE_MM."""
    coarse = np.pad(brain[::2, ::2, ::2], PAD)
    closed = ndimage.distance_transform_edt(~coarse, sampling=COARSE_MM) < 8
    eroded = ndimage.distance_transform_edt(closed, sampling=COARSE_MM) > 8
    signed = ndimage.distance_transform_edt(~eroded, sampling=COARSE_MM)
    signed -= ndimage.distance_transform_edt(eroded, sampling=COARSE_MM)
    return ndimage.gaussian_filter(signed.astype(np.float32), 0.8)
