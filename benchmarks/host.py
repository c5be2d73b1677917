"""What runs on the processor without networks, each against its plain version (`plain.py`), and the command's start."""

import subprocess
import sys

import numpy as np

from benchmarks import plain
from benchmarks.size import Size, head
from benchmarks.timing import comparison, interleaved, spread
from segsrgan_core.imaging.degrade import degrade_matrices
from segsrgan_study.baselines.imapa import soft_labels
from segsrgan_study.scores import hd95_mm

RATIO = 3.75  # slice thickness in voxels: 3 mm on 0.8 mm
IMAPA = {"half_patch": 1, "half_window": 2, "k": 10}
STARTS = {
    "import segsrgan_core": ("-c", "import segsrgan_core"),
    "segsrgan --help": ("-c", "from segsrgan_study.cli import app; app()", "--help"),
}


def without_networks(size: Size) -> dict:
    """Compare simulation, IMAPA (3 atlases, one pass) and the 95 % Hausdorff distance with their plain versions."""
    pairs = {"simulation": _simulation(size), "imapa": _imapa(size), "hd95": _distance(size)}
    return {name: _compare(*pair, max(2, size.rounds - 2)) for name, pair in pairs.items()}


def _compare(slow, fast, rounds: int) -> dict:
    times = interleaved({"plain": slow, "ours": fast}, rounds)
    return comparison(times["plain"], times["ours"])


def _simulation(size: Size):
    image = head(size.volume)

    def ours() -> np.ndarray:
        down, up = degrade_matrices(image.shape[2], 1.0, RATIO)
        return (image @ down.T.astype(np.float32)) @ up.T.astype(np.float32)

    return lambda: plain.simulate(image, RATIO), ours


def _imapa(size: Size):
    images = np.stack([head((size.imapa,) * 3, seed) for seed in range(4)])
    labels = np.digitize(images[1:], (0.25, 1.0)).astype(np.uint8)
    fused = (images[0], images[1:], labels)
    return lambda: plain.imapa(*fused, **IMAPA), lambda: soft_labels(*fused, **IMAPA, alphas=(0.0,))[1]


def _distance(size: Size):
    small = tuple(n // 3 for n in size.volume)  # the plain version compares every border voxel with every other
    masks = [head(small, seed) > 0.98 for seed in range(2)]
    return lambda: plain.hd95_mm(*masks, 0.5), lambda: hd95_mm(*masks, (0.5,) * 3)


def starts(size: Size) -> dict:
    """Return the seconds that importing the package and printing the help take, Python's own start included."""

    def start(arguments: tuple[str, ...]) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)

    work = {name: lambda arguments=arguments: start(arguments) for name, arguments in STARTS.items()}
    times = interleaved({"python": lambda: start(("-c", "")), **work}, 2 * size.rounds)
    return {name: spread(one.clock) for name, one in times.items()}
