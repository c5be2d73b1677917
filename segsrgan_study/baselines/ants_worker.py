"""ANTs in processes of its own, each with its number of threads and its folder for temporary files.

ANTs reads the number of threads once, when it is loaded. Registration on several threads gives another result each
time (Dice changes in the third digit), on one thread always the same. Some functions leave files behind.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from importlib.metadata import version
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image

from segsrgan_core.cores import cores
from segsrgan_core.imaging.geometry import spacing_mm
from segsrgan_study.pool import processes

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
SEED = 1


def in_workers(function: Callable[..., Any], jobs: Sequence[tuple], threads: int = 1) -> Iterator[Any]:
    """Call a function of a module once per job (its arguments) in fresh processes, at most one per core.

    Each has so many of ANTs' threads. Yields the results in the order in which they are ready.
    """
    if not jobs:
        return
    with tempfile.TemporaryDirectory(prefix="segsrgan-") as folder, processes(min(cores(), len(jobs))) as pool:
        for future in as_completed([pool.submit(_call, folder, threads, function, *job) for job in jobs]):
            yield future.result()


def _call(folder: str, threads: int, function: Callable[..., Any], *arguments: Any) -> Any:
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    import ants

    ants.config._random_seed = SEED  # set_ants_deterministic would also forbid every transform but four
    return function(*arguments)


def antspyx() -> str:
    """Return the name and the version of the library."""
    return f"antspyx {version('antspyx')}"


def to_ants(image: Nifti1Image):
    """Convert an image (X, Y, Z) to an ANTs image, float32; world coordinates stay."""
    import ants

    affine, spacing = RAS_TO_LPS @ image.affine, spacing_mm(image)
    array, direction = np.asarray(image.dataobj, np.float32), affine[:3, :3] / spacing
    return ants.from_numpy(array, origin=affine[:3, 3].tolist(), spacing=spacing.tolist(), direction=direction)
