"""Sizes, settings, phantoms of heads and timing, shared by the benchmarks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from segsrgan_study.params import Settings, read_params
from segsrgan_study.paths import find_study


@dataclass(frozen=True)
class Size:
    """Sizes of networks and images.

    Attributes:
        k: channels of the generator at full resolution.
        critic_width: channels of the critic's first convolution.
        patch: edge of a training patch and of our windows in voxels.
        batches: patches per step.
        head: shape of a whole head in voxels of 0.5 mm.
        window: edge of a published window in voxels.
        rounds: repetitions of each comparison.
    """

    k: int = 16
    critic_width: int = 32
    patch: int = 64
    batches: tuple[int, ...] = (1, 4)
    head: tuple[int, int, int] = (200, 230, 190)
    window: int = 128
    rounds: int = 3


SIZES = {"full": Size(), "small": Size(2, 2, 16, (1,), (24, 28, 24), 32, 2)}


def settings_of(setting: str, size: Size, batch: int = 1) -> Settings:
    """Return a setting of `params.yaml` with networks and patches of a size.

    Args:
        setting: "quick" (the study's own) or "paper" (as published).
        size: of networks and patches.
        batch: patches per step.
    """
    model = {"k": size.k, "critic_width": size.critic_width} | ({"hemispheres": False} if setting == "paper" else {})
    changes = {"model": model, "training": {"patch": size.patch, "batch": batch}}
    changes["inference"] = {"window": size.patch}
    return read_params(find_study().params, setting=setting, changes=changes)


def head(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """Return a bright, textured ellipsoid in air that touches no edge: float32 (X, Y, Z), tissue about 1."""
    grid = np.meshgrid(*(np.linspace(-1.05, 1.05, n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    inside = sum(axis**2 for axis in grid) < 1
    texture = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape, np.float32), 1)
    return np.where(inside, np.float32(0.5) + texture, np.float32(0))


def interleaved(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Call functions once to warm up, then all in turn, in reversed order every other round.

    Other load on the machine then falls on all of them alike.

    Args:
        work: functions by name.
        rounds: repetitions.

    Returns:
        By name, the seconds of each round.
    """
    for call in work.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds):
        for name in list(work)[:: 1 if number % 2 == 0 else -1]:
            start = time.perf_counter()
            work[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def comparison(slow: Sequence[float], fast: Sequence[float], scale: float = 1.0) -> dict:
    """Compare two functions round by round.

    Args:
        slow: seconds of the one.
        fast: seconds of the other.
        scale: calls of `slow` that do the work of one call of `fast`.

    Returns:
        Spread of the ratio slow / fast, and of both times in seconds.
    """
    ratio = [scale * a / b for a, b in zip(slow, fast, strict=True)]
    return {"ratio": spread(ratio), "slow_s": spread(np.multiply(slow, scale)), "fast_s": spread(fast)}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, lowest and highest value, and their number."""
    found = {"median": float(np.median(values)), "low": float(np.min(values)), "high": float(np.max(values))}
    return {**found, "rounds": len(values)}
