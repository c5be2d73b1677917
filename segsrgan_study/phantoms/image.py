"""What a phantom looks like: tissue fractions of every voxel, labels, and the T2-weighted signal at any echo time."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
from scipy import ndimage

from segsrgan_core.imaging.contrast import TISSUES_3T, Relaxation, spin_echo
from segsrgan_study.phantoms.anatomy import BRAINSTEM, CEREBELLUM, RIBBON, VENTRICLE, WHITE, Anatomy
from segsrgan_study.phantoms.shape import Rng, Traits, smooth_noise, spline_at

GAIN = 1000.0  # image units of a signal of 1, so that CSF is near 900
SKULL_MM, SCALP_MM = 2.0, 4.0
CORTEX, HEAD_NUMBER = 2, 4
GREY, WHITE_MATTER, CSF = TISSUES_3T["grey"], TISSUES_3T["white"], TISSUES_3T["csf"]

# drawem9 number to relaxation at 3 T. Grey, white and CSF: see `imaging.contrast`. The others are assumed: between grey
# and white, as they look in neonatal T2-weighted images. M0 is assumed throughout.
RELAXATION: dict[int, Relaxation] = {1: CSF, 2: GREY, 3: WHITE_MATTER, 5: CSF, 6: replace(GREY, t2_ms=158.0)}
RELAXATION |= {7: replace(GREY, t2_ms=156.0, m0=0.86), 8: replace(GREY, t2_ms=160.0, m0=0.87)}
RELAXATION |= {9: replace(GREY, t2_ms=172.0)}
# Outside of the brain (assumed): cortical bone, scalp fat and skin, muscle, and the vitreous body of the eyes.
OUTER = {"bone": Relaxation(800, 40, 0.25), "scalp": Relaxation(500, 120, 0.80)}
OUTER |= {"muscle": Relaxation(1400, 85, 0.80), "eye": Relaxation(4000, 900, 1.0)}
# How much each tissue's T2 varies: large patches (9 mm), small ones (3 mm), from voxel to voxel (1.2 mm).
VARIATION = {3: (0.06, 0.035, 0.02), 1: (0.0, 0.06, 0.04), 5: (0.0, 0.02, 0.02)}
# Structures with white matter and CSF inside that have no label of their own: weights of both in the signal.
MIXED = {6: (0.5, 1.0), 7: (0.45, 0.0), 8: (0.4, 1.0)}
OTHER_VARIATION = (0.035, 0.03, 0.025)


class Body:
    """A phantom before it is scanned, on the grid and with the MNI coordinates that `shape.place` gives.

    Its `labels` are drawem9 numbers, 4 in the head outside of the skull's content, 0 in air; its `hemispheres` 1 left
    and 2 right within the skull, else 0. Both are uint8 (X, Y, Z).
    """

    def __init__(self, anatomy: Anatomy, traits: Traits, points_mm: np.ndarray, spacing_mm: float, rng: Rng):
        shape = points_mm.shape[1:]
        outside_mm = anatomy.sample("skull", points_mm) * traits.scale - traits.shell_mm
        # Flat indices (n,) of the voxels that hold some of the skull's content.
        self._inside = inside = np.flatnonzero(outside_mm < spacing_mm)
        points = points_mm.reshape(3, -1)[:, inside]
        fields = {mm: smooth_noise(shape, spacing_mm, mm, rng).ravel() for mm in (9.0, 5.0, 3.0, 2.0, 1.2)}
        waves = {mm: field[inside] for mm, field in fields.items()}
        # Share of each drawem9 number in them, (10, n); row 4 is outside of the skull's content.
        self._fractions = _fractions(anatomy, traits, points_mm, inside, waves)
        outer = _outer(traits, points_mm, outside_mm, spacing_mm)
        self.labels, self.hemispheres = _labels(points_mm, inside, self._fractions, outer)
        texture = np.clip(1 + 0.14 * (fields[5.0] + fields[2.0]), 0.3, 2).reshape(shape)
        self._outer = {name: share * (1 if name == "eye" else texture) for name, share in outer.items()}
        self._variation = np.stack([waves[9.0], waves[3.0], waves[1.2]])  # moves T2 within a tissue
        self._white_t2 = _white_t2(anatomy, points)  # over its usual value
        self._m0_factor = 1 + 0.02 * waves[5.0] + 0.02 * waves[2.0]
        # Shares of white matter and fluid within cerebellum, brainstem and deep grey.
        self._mixture = np.clip([anatomy.sample("white", points), 1.3 * anatomy.sample("fluid", points)], 0, 1)
        self._receive = _receive(shape, rng)

    def signal(self, te_ms: float, tr_ms: float, relaxation: Mapping[int, Relaxation]) -> np.ndarray:
        """Scan without noise, by the relaxation of each number within the skull: float64 (X, Y, Z), CSF near 900."""

        def echo(tissue: Relaxation, t2_factor=1.0):
            return spin_echo(tissue.m0, tissue.t1_ms, tissue.t2_ms * t2_factor, te_ms, tr_ms)

        image = sum(echo(OUTER[name]) * share for name, share in self._outer.items())
        content = self._fractions[HEAD_NUMBER] * image.ravel()[self._inside]
        parts = relaxation[WHITE], relaxation[1]
        for number, tissue in relaxation.items():
            here = np.flatnonzero(self._fractions[number])
            s = echo(tissue, self._t2_factor(number, here))
            for part, weight, share in zip(parts, MIXED.get(number, ()), self._mixture[:, here], strict=False):
                s = s + weight * share * (echo(part) - s)
            content[here] += self._fractions[number, here] * self._m0_factor[here] * s
        image.ravel()[self._inside] = content
        return GAIN * image * self._receive

    def _t2_factor(self, number: int, here: np.ndarray) -> np.ndarray:
        large, small, fine = VARIATION.get(number, OTHER_VARIATION)
        sign = 1 if number % 2 else -1  # neighbouring tissues do not vary together
        waves = self._variation[:, here]
        factor = 1 + sign * large * waves[0] + sign * small * waves[1] + fine * waves[2]
        return factor * self._white_t2[here] if number == WHITE else factor


def _fractions(anatomy, traits, points_mm, inside, waves) -> np.ndarray:
    """Count the tissues of the 2 x 2 x 2 points of every voxel, where they are not all the same."""
    flat, shape = points_mm.reshape(3, -1), points_mm.shape[1:]
    number = np.full(shape, HEAD_NUMBER, np.uint8)
    number.ravel()[inside] = _classify(anatomy, traits, flat[:, inside], waves[9.0], waves[5.0])
    mixed = ndimage.maximum_filter(number, 3) != ndimage.minimum_filter(number, 3)
    chosen = np.flatnonzero(mixed.ravel()[inside])
    fractions = np.eye(10)[:, number.ravel()[inside]]
    fractions[:, chosen] = 0
    centres, slow, quick = flat[:, inside[chosen]], waves[9.0][chosen], waves[5.0][chosen]
    quarters = [  # of a voxel along each axis, in the template: (3, n)
        (flat.take(inside[chosen] + stride, 1, mode="clip") - flat.take(inside[chosen] - stride, 1, mode="clip")) / 8
        for stride in (shape[1] * shape[2], shape[2], 1)
    ]
    for signs in product((-1, 1), repeat=3):
        at = centres + sum(sign * step for sign, step in zip(signs, quarters, strict=True))
        fractions[_classify(anatomy, traits, at, slow, quick), chosen] += 0.125
    return fractions


def _classify(anatomy, traits, at, slow, quick) -> np.ndarray:
    """Name the tissue at points: the drawem9 number, 4 outside of the skull's content."""
    depth_mm = anatomy.sample("pial", at) * traits.scale + 0.15 * quick - traits.gap_mm
    territory = anatomy.sample("territory", at)
    home, number = territory % VENTRICLE, np.full(depth_mm.shape, WHITE)
    number[(home == RIBBON) & (depth_mm < traits.thickness_mm * (1 + 0.12 * slow))] = CORTEX
    nuclei = anatomy.sample("nuclei", at)
    number[nuclei > 0.5], number[nuclei < -0.5] = 7, 9
    number = np.where((home == CEREBELLUM) | (home == BRAINSTEM), home, number)
    fluid = np.flatnonzero(depth_mm <= 0)
    skull_mm = anatomy.sample("skull", at[:, fluid]) * traits.scale - traits.shell_mm
    number[fluid] = np.where(skull_mm > 0, HEAD_NUMBER, np.where(territory[fluid] >= VENTRICLE, 5, 1))
    return number


def _white_t2(anatomy: Anatomy, points: np.ndarray) -> np.ndarray:
    """Brighter where it is deep and watery, darker in the internal capsule's myelinated posterior limb."""
    deep = np.clip((anatomy.sample("pial", points) - 5) / 8, 0, 1)
    x, y, z = np.abs(points[0]), points[1], points[2]
    capsule = ((x - 22 + 0.35 * (y + 14)) / 3.5) ** 2 + ((y + 14) / 8) ** 2 + ((z - 8) / 9) ** 2
    return (1 + 0.10 * deep) * (1 - 0.32 * np.exp(-capsule))


def _receive(shape: tuple[int, ...], rng: Rng) -> np.ndarray:
    """Draw the receive coil's field: smooth, from exp(-0.15) to exp(0.15)."""
    coarse = np.array([n // 8 + 2 for n in shape])
    field = ndimage.zoom(rng.uniform(-1.0, 1.0, (4, 4, 4)), coarse / 4, order=3, mode="nearest", grid_mode=True)
    field = np.exp(0.15 * np.clip(field, -1, 1)).astype(np.float32).astype(float)
    return spline_at(field, [0.5 + np.arange(n) / 8 for n in shape])


def _outer(traits, points_mm, outside_mm, spacing_mm) -> dict[str, np.ndarray]:
    """Shares of the tissues outside of the skull's content; what they leave is air."""
    below_mm, eye_mm = np.full((2, *outside_mm.shape), np.inf)
    low = points_mm[2] < -4
    x, y, z = np.abs(points_mm[0][low]), points_mm[1][low], points_mm[2][low]
    face = np.sqrt((x / 56) ** 2 + ((y - 32) / 46) ** 2 + ((z + 52) / 46) ** 2) - 1
    neck = np.maximum(np.hypot(x / 46, (y + 34) / 50) - 1, (z + 30) / 46)
    below_mm[low] = np.minimum(face, neck) * 46 * traits.scale
    eye_mm[low] = (np.sqrt((x - 31) ** 2 + (y - 62) ** 2 + (z + 38) ** 2) - 12) * traits.scale
    scalp_mm = np.minimum(outside_mm - SKULL_MM - SCALP_MM, below_mm - 1.5)
    distances_mm = {"bone": outside_mm - SKULL_MM, "eye": eye_mm, "muscle": below_mm + 1.5, "scalp": scalp_mm}
    shares, left = {}, 1.0
    for name, distance_mm in distances_mm.items():
        shares[name] = left * np.clip(0.5 - distance_mm / spacing_mm, 0, 1)
        left = left - shares[name]
    return shares


def _labels(points_mm, inside, fractions, outer) -> tuple[np.ndarray, np.ndarray]:
    labels = np.where(sum(outer.values()) > 0.5, HEAD_NUMBER, 0).astype(np.uint8)
    content = fractions[HEAD_NUMBER] <= 0.5
    largest = np.argmax(np.where(np.arange(10)[:, None] == HEAD_NUMBER, 0, fractions), axis=0)
    labels.ravel()[inside[content]] = largest[content]
    hemispheres = np.zeros(labels.shape, np.uint8)
    hemispheres.ravel()[inside[content]] = np.where(points_mm[0].ravel()[inside[content]] < 0, 1, 2)
    return labels, hemispheres


def draw_relaxation(rng: Rng, usual: Mapping[int, Relaxation]) -> dict[int, Relaxation]:
    """Draw a patient's own relaxation values, within 20 % of the usual ones for T1 and T2 and 5 % for M0.

    Three quarters of it are common to all tissues (maturity, field strength), so that grey stays darker than white.
    """
    common = 0.15 * rng.uniform(-1, 1, 2)
    own = dict(zip(usual, 0.05 * rng.uniform(-1, 1, (len(usual), 3)), strict=True))
    own[5] = own[1]  # one fluid
    drawn = {}
    for number, tissue in usual.items():
        t1, t2, m0 = own[number]
        t1_ms, t2_ms = tissue.t1_ms * (1 + common[0] + t1), tissue.t2_ms * (1 + common[1] + t2)
        drawn[number] = Relaxation(t1_ms, t2_ms, tissue.m0 * (1 + m0))
    return drawn
