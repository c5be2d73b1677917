"""A network over a whole image: overlapping windows of the training patch's size, blended smoothly.

Instance normalisation sees one window at a time in training and in use alike.
"""

from collections.abc import Callable, Iterable

import numpy as np

Network = Callable[[np.ndarray], np.ndarray]
Walk = Callable[[Iterable], Iterable]


def window_starts(n: int, patch: int, step: int) -> np.ndarray:
    """Return where the windows along one axis begin: evenly spread, the first and last flush with the edges.

    Args:
        n: voxels of the axis, at least `patch`.
        patch: window length.
        step: the largest distance between neighbours.
    """
    count = 1 + int(np.ceil((n - patch) / step))
    return np.round(np.linspace(0, n - patch, count)).astype(int)


def blending_weights(patch: int) -> np.ndarray:
    """Return the weight of each voxel of a window, float32 (P, P, P), from near 0 at its faces to 1 in the middle."""
    line = np.sin(np.pi * (np.arange(patch) + 0.5) / patch) ** 2
    return np.einsum("i,j,k->ijk", line, line, line).astype(np.float32)


def predict(network: Network, image: np.ndarray, patch: int, step: int, channels: int, walk: Walk = iter) -> np.ndarray:
    """Run a network over an image.

    Args:
        network: float32 (1, P, P, P, C) -> float32 (1, P, P, P, channels).
        image: float32 (X, Y, Z, C), RAS+, scaled; smaller axes than `patch` are mirrored.
        patch: window edge in voxels.
        step: distance between windows in voxels, 1 ... patch.
        channels: of the network's output.
        walk: goes through the windows, and may show how far it has come.

    Returns:
        float32 (X, Y, Z, channels): the weighted mean over all windows that hold a voxel. Windows without any signal
        are not run: there the image stays 0 and so do the probabilities.
    """
    if not 1 <= step <= patch:
        raise ValueError(f"predict: expected 1 <= step <= patch. Received: step={step}, patch={patch}")
    margins = [(max(0, patch - n) // 2, max(0, patch - n) - max(0, patch - n) // 2) for n in image.shape[:3]]
    padded = np.pad(image, [*margins, (0, 0)], "symmetric")
    total = np.zeros((*padded.shape[:3], channels), np.float32)
    weight = np.zeros((*padded.shape[:3], 1), np.float32)
    window_weight = blending_weights(patch)[..., None]
    for corner in walk(_corners(padded.shape, patch, step)):
        window = tuple(slice(start, start + patch) for start in corner)
        weight[window] += window_weight
        if np.any(padded[window][..., 0]):
            total[window] += window_weight * network(padded[window][None])[0]
    total /= weight
    inside = tuple(slice(low, low + n) for (low, _), n in zip(margins, image.shape[:3], strict=True))
    return total[inside]


def _corners(shape: tuple[int, ...], patch: int, step: int) -> np.ndarray:
    starts = [window_starts(n, patch, step) for n in shape[:3]]
    return np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 3)
