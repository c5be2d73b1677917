"""The most memory that a whole head and a training hold, each measured in a process of its own."""

import re
import resource
import subprocess
import sys
from dataclasses import asdict
from json import dumps, loads
from pathlib import Path

import numpy as np

from benchmarks.size import Size, head


def memory(size: Size) -> dict:
    """Return the peak resident memory in GiB of each piece of work, TensorFlow and Python (`start`) included."""
    return {name: _measured(name, size) for name in WORK}


def _measured(name: str, size: Size) -> float:
    command = [sys.executable, "-m", __name__, name, dumps(asdict(size))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def _start(size: Size) -> None:
    import tensorflow as tf

    tf.zeros(1)


def _head(size: Size) -> None:
    """Segment a head of thick slices at the shipped settings, from the image to labels and uncertainty."""
    from nibabel.nifti1 import Nifti1Image

    from benchmarks.heads import SHIPPED, SHIPPED_FLIPS, SHIPPED_STEP
    from segsrgan_core.networks.functions import as_function, choose_policy
    from segsrgan_core.networks.generators import build_generator
    from segsrgan_core.segmenter import ModelCard, Segmenter

    network = as_function(build_generator(**SHIPPED, k=size.k, policy=choose_policy("auto")))
    arguments = {**SHIPPED, "k": size.k, "thickness_channel": False}
    card = ModelCard(arguments, ("cortex",), 0.5, size.patch, (3.0, 3.0), "axial", "benchmark")
    thick = Nifti1Image(np.ascontiguousarray(head(size.head)[..., ::6]), np.diag([0.5, 0.5, 3.0, 1.0]))
    Segmenter(card, network, step=min(SHIPPED_STEP, size.patch), flips=SHIPPED_FLIPS)(thick)


def _training(size: Size) -> None:
    """Take two iterations of the published networks with 5 critic steps, at a batch of 4."""
    import tensorflow as tf

    from benchmarks.training import N_CRITIC, paper_trainer
    from segsrgan_core.settings import TrainingSettings

    trainer = paper_trainer(size, TrainingSettings(patch=size.patch, batch=4, n_critic=N_CRITIC))
    x = tf.random.stateless_uniform((N_CRITIC + 1, 4, *[size.patch] * 3, 1), (0, 0))
    for _ in range(2):
        trainer.adversarial(x, tf.concat([x, tf.round(x)], -1), tf.ones((N_CRITIC, 4)) / 2)


def _peak_gib() -> float:
    status = Path("/proc/self/status")
    if status.is_file():  # Linux counts the memory of the process that started this one into ru_maxrss
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # in bytes, as macOS has it


WORK = {"start": _start, "head": _head, "training": _training}

if __name__ == "__main__":
    values = loads(sys.argv[2])
    WORK[sys.argv[1]](Size(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}))
    print(_peak_gib())
