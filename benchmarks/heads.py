"""Time of inference on a whole head: the published way and ours."""

from itertools import count

import numpy as np

from benchmarks.common import Size, comparison, head, interleaved, settings_of
from benchmarks.published import STEP, published_generator, window_count
from segsrgan_core.classes import Classes
from segsrgan_core.inference import predict
from segsrgan_core.networks.functions import as_function, choose_policy
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.uncertainty import spread_channels, views
from segsrgan_study.steps.network.build import generator_arguments

TIMED_WINDOWS = 2  # of the published way; all windows take the same time


def heads(size: Size) -> dict:
    """Compare a whole head at the study's settings with the published way.

    A few windows of the published way are timed and multiplied by the number of windows; its padding and averaging are
    left out, in its favour.

    Returns:
        A `common.comparison`, with `published_windows` and `windows_timed`.
    """
    settings = settings_of("quick", size)
    classes = Classes(tuple(settings.model.classes), settings.model.hemispheres)
    generator = build_generator(**generator_arguments(settings), policy=choose_policy("auto"))
    networks = views((as_function(generator),), settings.inference.flips, classes)
    channels = 1 + classes.channels + len(spread_channels(classes))
    image, step = head(size.head)[..., None], min(settings.inference.step, size.patch)
    windows = np.random.default_rng(0).random((TIMED_WINDOWS, 1, *[size.window] * 3), np.float32)
    published, numbers = published_generator(size.k), count()
    work = {
        "published": lambda: published.predict(windows + next(numbers), batch_size=1, verbose=0),
        "ours": lambda: predict(networks, image, size.patch, step, channels),
    }
    times, n = interleaved(work, size.rounds), window_count(size.head, size.window, STEP)
    compared = comparison(times["published"], times["ours"], n / TIMED_WINDOWS)
    return {**compared, "published_windows": n, "windows_timed": TIMED_WINDOWS}
