"""Training patches drawn by processes: threads share one interpreter's lock, and a GPU would wait for them.

The processes map the subjects' files into memory, so that all share one copy.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import count
from pathlib import Path

import numpy as np

from segsrgan_core.cores import cores
from segsrgan_core.patches import TrainingSubject, numbered_patch
from segsrgan_core.settings import TrainingSettings
from segsrgan_study.pool import processes

ARRAYS = ("image", "labels", "sides", "signals", "centres")  # of a subject


@contextmanager
def drawing_processes(
    subjects: list[TrainingSubject], settings: TrainingSettings, *others, seed: int
) -> Iterator[Callable[[int], Iterator[tuple[np.ndarray, np.ndarray]]]]:
    """Start processes that draw patches, one for each core but one; arguments as `patch_dataset`.

    `patches_from` of `training.train` is yielded: bit by bit the patches of `patches.patch_dataset`.
    """
    ahead = 2 * settings.batch * (settings.n_critic + 1)
    with tempfile.TemporaryDirectory(prefix="segsrgan-") as folder, processes(max(1, cores() - 1)) as pool:
        numbers = {id(one): n for n, one in enumerate(subjects)}  # one that stands there several times is written once
        for n in numbers.values():
            for name in ARRAYS:
                if (array := getattr(subjects[n], name)) is not None:
                    np.save(f"{folder}/{n}-{name}.npy", array)
        facts = tuple((numbers[id(one)], one.name, one.spacing_mm) for one in subjects)
        draw = partial(_draw, folder, facts, seed, settings, *others)

        def patches_from(start: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            waiting = deque(pool.submit(draw, number) for number in range(start, start + ahead))
            for number in count(start + ahead):
                yield waiting.popleft().result()
                waiting.append(pool.submit(draw, number))

        yield patches_from


@lru_cache(maxsize=1)
def _mapped(folder: str, facts: tuple[tuple[int, str, float], ...]) -> list[TrainingSubject]:
    def array(path: Path) -> np.ndarray | None:
        return np.asarray(np.load(path, mmap_mode="r")) if path.is_file() else None

    arrays = {n: {name: array(Path(folder, f"{n}-{name}.npy")) for name in ARRAYS} for n, _, _ in facts}
    return [TrainingSubject(name, spacing_mm=mm, **arrays[n]) for n, name, mm in facts]


def _draw(folder: str, facts: tuple, seed: int, *rest) -> tuple[np.ndarray, np.ndarray]:
    *arguments, number = rest
    return numbered_patch(seed, number, _mapped(folder, facts), *arguments)
