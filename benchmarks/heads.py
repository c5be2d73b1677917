"""Inference on a whole head: the published way, and ours by window, step and precision."""

from collections.abc import Callable
from itertools import count

import numpy as np

from benchmarks.published import STEP, predict_windows, published_generator, window_count
from benchmarks.size import Size, head
from benchmarks.timing import Times, comparison, interleaved, spread
from segsrgan_core.classes import Classes
from segsrgan_core.inference import predict
from segsrgan_core.networks.functions import as_function, choose_policy
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.uncertainty import spread_channels, views

CORTEX = Classes(("cortex",), hemispheres=True)
SHIPPED = {"name": "unet", "kernel": 3, "padding": "zero", "n_classes": 1, "hemispheres": True}
SHIPPED_STEP, SHIPPED_FLIPS = 40, ("x",)
TIMED_WINDOWS = 2  # of the published way; all windows cost the same


def whole_head(size: Size) -> dict:
    """Compare a whole head at the shipped settings with the published way.

    Of the published way a few windows are timed and multiplied by their number; its padding and averaging are left
    out, in its favour.

    Returns:
        `shipped`: a comparison; `published_windows`; and `by_setting`, ours alone: seconds and voxels a second.
    """
    image = head(size.head)
    n = window_count(size.head, size.window, STEP)
    published, numbers = published_generator(size.k), count()
    windows = np.random.default_rng(0).random((TIMED_WINDOWS, 1, *[size.window] * 3), np.float32)
    step = min(SHIPPED_STEP, size.patch)
    times = interleaved(
        {
            "published": lambda: predict_windows(published, windows + next(numbers)),
            "shipped": _ours(size, image, size.patch, step, choose_policy("auto")),
        },
        max(2, size.rounds - 2),
    )
    return {
        "shipped": comparison(times["published"], times["shipped"], n / TIMED_WINDOWS),
        "published_windows": n,
        "windows_timed": TIMED_WINDOWS,
        "by_setting": _by_setting(size, image),
    }


def _ours(size: Size, image: np.ndarray, patch: int, step: int, policy: str) -> Callable[[], np.ndarray]:
    networks = views((as_function(build_generator(**SHIPPED, k=size.k, policy=policy)),), SHIPPED_FLIPS, CORTEX)
    channels = 1 + CORTEX.channels + len(spread_channels(CORTEX))
    return lambda: predict(networks, image[..., None], patch, step, channels)


def _by_setting(size: Size, image: np.ndarray) -> list[dict]:
    """Time a head at other steps, windows and precisions; one window at a time always."""
    patch, best = size.patch, choose_policy("auto")
    settings = [(patch, step, best) for step in (patch // 2, 3 * patch // 4, patch)]
    settings += [(3 * patch // 2, patch, best), (patch, 3 * patch // 4, "float32")]
    rows = []
    for window, step, policy in settings:
        times: Times = interleaved({"ours": _ours(size, image, window, step, policy)}, 2)["ours"]
        seconds = spread(times.clock)
        rate = image.size / seconds["median"]
        rows.append(
            {"window": window, "step": step, "precision": policy, "seconds": seconds, "voxels_per_second": rate}
        )
    return rows
