"""Time of inference on a whole head: the published way and ours."""

from itertools import count

import numpy as np

from benchmarks.common import Size, comparison, head, interleaved, settings_of
from benchmarks.published import STEP, published_generator, window_count
from segsrgan_core.inference import predict
from segsrgan_core.networks.generators import build_generator
from segsrgan_core.uncertainty import views
from segsrgan_study.engines import as_network
from segsrgan_study.steps.network.build import model_card

TIMED_WINDOWS = 2  # of the published way; all windows take the same time


def heads(size: Size) -> dict:
    """Compare a whole head at the study's settings with the published way.

    A few windows of the published way are timed and multiplied by the number of windows; its padding and averaging are
    left out, in its favour.

    Ours runs on the engine that `segsrgan segment` would choose.

    Returns:
        A `common.comparison`, with `published_windows` and `windows_timed`.
    """
    card = model_card(settings_of("quick", size), spacing_mm=0.5)
    network = as_network(build_generator(**card.generator), card)
    networks = views((network,), card.flips, card.tissues)
    image = head(size.head)[..., None]
    windows = np.random.default_rng(0).random((TIMED_WINDOWS, 1, *[size.window] * 3), np.float32)
    published, numbers = published_generator(size.k), count()
    work = {
        "published": lambda: published.predict(windows + next(numbers), batch_size=1, verbose=0),
        "ours": lambda: predict(networks, image, card.patch, card.step, 2 + card.tissues.channels),
    }
    times, n = interleaved(work, size.rounds), window_count(size.head, size.window, STEP)
    compared = comparison(times["published"], times["ours"], n / TIMED_WINDOWS)
    return {**compared, "published_windows": n, "windows_timed": TIMED_WINDOWS}
