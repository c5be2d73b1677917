"""Inference on a whole image: overlapping windows of the size of the training patches, blended smoothly.

Instance normalisation sees one window at a time, as in training.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage

from segsrgan_core.imaging.intensity import BLOCK, head_blocks

Network = Callable[[np.ndarray], np.ndarray]
Walk = Callable[[Iterable], Iterable]


def line_weights(n: int, patch: int, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows along an axis of n voxels, `step` apart at most, and blending weights that sum up to 1.

    Starts are int (m,), evenly spread from edge to edge, weights float32 (m, patch): sin^2 over the window, divided by
    the sum of all windows.
    """
    count = 1 + int(np.ceil((n - patch) / step))
    starts = np.round(np.linspace(0, n - patch, count)).astype(int)
    line = np.sin(np.pi * (np.arange(patch) + 0.5) / patch) ** 2
    total = np.zeros(n)
    for start in starts:
        total[start : start + patch] += line
    return starts, np.stack([line / total[start : start + patch] for start in starts]).astype(np.float32)


def predict(
    networks: Sequence[Network], image: np.ndarray, patch: int, step: int, channels: int, walk: Walk = iter
) -> np.ndarray:
    """Run networks over an image.

    The networks take turns from window to window along each axis, so that a place where windows overlap is seen by
    several of them in the time of one. If there are fewer windows than networks, all networks vote on each window.

    Args:
        networks: functions float32 (1, P, P, P, C) -> float32 (1, P, P, P, channels).
        image: float32 (X, Y, Z, C), RAS+, scaled; axes shorter than `patch` are mirrored.
        patch: edge of a window in voxels.
        step: distance between windows in voxels, 1 ... patch.
        channels: number of output channels.
        walk: wrapper of the iteration over the windows, for a progress bar.

    Returns:
        float32 (X, Y, Z, channels), the weighted mean over all windows that contain a voxel. Windows cover the box of
        the head; those without a part of it are not run: there the image is kept and probabilities are 0.
    """
    margins = [(max(0, patch - n) // 2, max(0, patch - n) - max(0, patch - n) // 2) for n in image.shape[:3]]
    padded = np.pad(image, [*margins, (0, 0)], "symmetric") if np.any(margins) else image
    # Channels first: memory is allocated where it is written, which is the head and not the air around it.
    total = np.zeros((channels, *padded.shape[:3]), np.float32)
    total[0] = padded[..., 0]
    blocks = head_blocks(padded[..., 0])
    if blocks.any():
        _add_windows(networks, padded, total, blocks, patch, step, walk)
    inside = tuple(slice(low, low + n) for (low, _), n in zip(margins, image.shape[:3], strict=True))
    return np.moveaxis(total, 0, -1)[inside]


def head_box(blocks: np.ndarray, shape: tuple[int, ...], patch: int) -> list[slice]:
    """Return the smallest box of voxels of an image (X, Y, Z) that contains all `head_blocks` and fits a window."""
    box = []
    for part, n in zip(ndimage.find_objects(blocks.astype(np.uint8))[0], shape, strict=True):
        first, last = BLOCK * part.start, min(BLOCK * part.stop, n)
        width = max(patch, last - first)
        start = int(np.clip((first + last - width) // 2, 0, n - width))
        box.append(slice(start, start + width))
    return box


def _add_windows(networks, image, total, blocks, patch, step, walk) -> None:
    """Replace the box of the head in `total` by the weighted mean of the windows."""
    box = head_box(blocks, image.shape[:3], patch)
    total[(0, *box)] = 0
    lines = [line_weights(part.stop - part.start, patch, step) for part in box]
    product = np.empty((patch,) * 3, np.float32)  # allocated once: fresh memory is slow

    def add(window: tuple[slice, ...], share: np.ndarray, outputs: list[np.ndarray]) -> None:
        if not outputs:  # no part of the head: the image is kept
            total[0][window] += share * image[window][..., 0]
        for output in outputs:
            for channel, part in zip(total, np.moveaxis(output[0], -1, 0), strict=True):
                channel[window] += np.multiply(share, part, out=product)

    corners = list(np.ndindex(*(len(starts) for starts, _ in lines)))
    with ThreadPoolExecutor(1) as beside:  # a window is added while the network runs on the next one
        added = beside.submit(int)
        for corner in walk(corners):
            begins = [part.start + starts[i] for part, (starts, _), i in zip(box, lines, corner, strict=True)]
            window = tuple(slice(begin, begin + patch) for begin in begins)
            weight = np.einsum("i,j,k->ijk", *(weights[i] for (_, weights), i in zip(lines, corner, strict=True)))
            turn, seen = sum(corner) % len(networks), np.ascontiguousarray(image[window])[None]
            voters = networks if len(corners) < len(networks) else [networks[turn]]
            held = tuple(slice(begin // BLOCK, -(-(begin + patch) // BLOCK)) for begin in begins)
            outputs = [one(seen) for one in voters] if blocks[held].any() else []
            added.result()
            added = beside.submit(add, window, weight / max(1, len(outputs)), outputs)
        added.result()
